"""The dataset generator on a full disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auscult.core.errors import AuscultError
from auscult.core.storage import replacing_folder
from auscult.datasets.synthesis.files import write_audio
from auscult.datasets.synthesis.population import plan


def test_a_full_disk_is_a_users_error(tmp_path: Path) -> None:
    visit = plan(12, 2017)[0]
    with pytest.raises(AuscultError, match="no space left"), replacing_folder(tmp_path / "raw") as folder:
        (folder / f"{visit.name}.wav").symlink_to("/dev/full")
        write_audio(folder, visit, np.zeros(100_000))
