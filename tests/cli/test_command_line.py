"""``python -m auscult.cli``: what holds for every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -0` does
    command = [sys.executable, "-m", "auscult.cli", "data", "template", str(tmp_path / "delivery")]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    assert (tmp_path / "delivery/recordings.csv").exists()
