from __future__ import annotations

from pathlib import Path

import pytest

from auscult.audio.resampled import write_audio
from auscult.core.sections import Params
from tests.audio.recordings import PATHS, make_root


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Parameters of a small data set, resampled, whose root is the current directory."""
    monkeypatch.chdir(tmp_path)
    params = make_root(tmp_path)
    write_audio(PATHS, params.resample, workers=2)
    return params
