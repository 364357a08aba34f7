"""A small report, made once; a test works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from auscult.core.paths import Paths
from auscult.verification import expected
from tests.verification.simulated import write_report

_recompute: Callable[..., Any] = expected.recompute
_remembered: dict[Any, Any] = {}


def remembering(table: pd.DataFrame, *others: Any) -> Any:
    """Recompute the figures of equal predictions once: most tests change other files."""
    key = pd.util.hash_pandas_object(table).to_numpy().tobytes(), str(others)
    if key not in _remembered:
        _remembered[key] = _recompute(table, *others)
    return _remembered[key]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with two experiments evaluated, and their report."""
    root = tmp_path_factory.mktemp("verified")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_report(root)
    return root


@pytest.fixture
def reported(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Make a copy of what a verification reads the current directory."""
    for name in ("models", "reports"):
        shutil.copytree(made / name, tmp_path / "root" / name)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(made / name, tmp_path / "root" / name)
    monkeypatch.chdir(tmp_path / "root")
    monkeypatch.setattr(expected, "recompute", remembering)
    return Paths("sample")
