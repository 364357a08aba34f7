"""Every process uses one instruction set, and results are the same bits on every processor."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auscult.core import instruction_set
from tests.contract.imports import ROOT

STAGES = sorted((ROOT / "stages").glob("[a-z]*.py"))
#: What the computations gave on AMD EPYC (Zen 3), and under emulation on the processors of docs/results.md. Another
#: version of a library or another network may change them: then copy what the test prints, on two kinds of processor.
DIGESTS = {"features": "1e3d92783448a6bb", "baselines": "6f8f4f2304715b20", "training": "a9f80ee6edf31e0e"}
EFFECTIVE = """
from auscult.core.process import prepare
prepare()
import json, numpy, torch, scipy.linalg, threadpoolctl
from numba.core.registry import cpu_target
from numpy._core._multiarray_umath import __cpu_features__
left, right = torch.ones(40, 40), torch.ones(8, 4, 9, 9)
with torch.backends.mkl.verbose(torch.backends.mkl.VERBOSE_ON):
    left @ left
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
    torch.nn.Conv2d(4, 8, 3)(right)
print(json.dumps({
    "NumPy": [name for name in ("X86_V4", "AVX512_ICL", "AVX512_SPR") if __cpu_features__.get(name)],
    "OpenBLAS": [i["architecture"] for i in threadpoolctl.threadpool_info() if i["internal_api"] == "openblas"],
    "PyTorch": torch.backends.cpu.get_cpu_capability(),
    "numba": cpu_target.target_context.codegen().magic_tuple()[1:],
}))
"""

pytestmark = pytest.mark.skipif(bool(instruction_set.obstacle()), reason=instruction_set.obstacle())


def run(*arguments: str) -> str:
    """Start Python without the variables that this process has set."""
    environment = {name: value for name, value in os.environ.items() if name not in instruction_set.PINNED}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_starts_by_the_function_that_sets_the_variables(path: Path) -> None:
    last = ast.unparse(ast.parse(path.read_text(encoding="utf-8")).body[-1])
    assert last.splitlines()[0] == "if __name__ == '__main__':"
    assert last.splitlines()[1].strip().startswith("run(main")


def test_the_command_line_sets_the_variables_before_a_library_is_loaded() -> None:
    libraries = "{'numpy', 'torch', 'numba', 'scipy', 'pyarrow'}"
    code = (
        "import os, sys, auscult.cli.main as cli\n"
        f"cli.report = lambda error: 0\ncli.app = lambda **_: print(sorted({libraries} & set(sys.modules)),"
        " os.environ['ATEN_CPU_CAPABILITY'])\n"
        "cli.main()"
    )
    assert run("-c", code) == "[] avx2\n"


def test_every_library_uses_what_it_is_told() -> None:
    *verbose, last = run("-c", EFFECTIVE).splitlines()
    assert json.loads(last) == {
        "NumPy": [],
        "OpenBLAS": ["Haswell", "Haswell"],
        "PyTorch": "AVX2",
        "numba": ["x86-64-v3", ""],
    }
    assert any("GEMM" in line and "CNR:COMPATIBLE" in line for line in verbose)
    assert any("cpu,isa:Intel AVX2" in line for line in verbose)


def test_results_are_the_bits_that_other_processors_gave() -> None:
    assert json.loads(run("-m", "tests.contract.computations")) == DIGESTS
