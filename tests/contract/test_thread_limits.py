"""NumPy and torch are imported after ``run()`` has set the thread limits that they read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.contract.imports import ROOT


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py")))
def test_importing_a_stage_loads_neither_numpy_nor_torch(stage: str) -> None:
    code = f"import sys, stages.{stage}; print(sorted({{'numpy', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"
