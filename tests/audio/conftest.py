from __future__ import annotations

from pathlib import Path

import pytest

from auscult.core.sections import Params
from tests.audio.recordings import make_root


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Parameters of a small data set whose root is the current directory."""
    monkeypatch.chdir(tmp_path)
    return make_root(tmp_path)
