"""One instruction set on every x86-64 processor: AVX2 with fused multiply-add (x86-64-v3).

NumPy, OpenBLAS, PyTorch, MKL, oneDNN, numba and Arrow choose their code by the processor that they find. Each choice
adds in another order or approximates a function in another way, so the last bits differ, and training amplifies that
to points of a score. Here each library is told to use what all processors since 2013 (Intel) and 2017 (AMD) have.
The libraries read these variables once, when they are loaded.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

#: What every library in use is told, by the library that reads it.
PINNED = {
    # NumPy's own loops: no AVX-512 (log10, sin, sums). It always has AVX2 on a processor with AVX2.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    # The OpenBLAS of NumPy and that of SciPy, which scikit-learn uses too. AMD's processors use these kernels anyway.
    "OPENBLAS_CORETYPE": "Haswell",
    # PyTorch's own loops, its convolutions (oneDNN), and its matrix products and some functions (MKL). MKL's other
    # branches are for Intel's processors only: on AMD's they are ignored without a message.
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    # Code that numba compiles for this project and for librosa: by default for the processor at hand.
    "NUMBA_CPU_NAME": "x86-64-v3",
    "NUMBA_CPU_FEATURES": "",
    # Sums of Arrow, which pandas may use.
    "ARROW_USER_SIMD_LEVEL": "AVX2",
}
#: Flags of /proc/cpuinfo without which the pinned code does not run.
_NEEDED = frozenset({"avx2", "fma", "bmi1", "bmi2", "movbe", "f16c"})
_CPUINFO = Path("/proc/cpuinfo")


def pin() -> None:
    """Set the variables, before NumPy or another of the libraries is loaded; see :func:`obstacle` for where not."""
    if not obstacle():
        os.environ.update(PINNED)


@cache
def obstacle() -> str:
    """Return why this processor cannot compute the same bits as the others, or an empty string.

    Such a processor keeps the libraries' own choice: they work, with other last digits.
    """
    machine = platform.machine()
    if machine not in {"x86_64", "AMD64"}:
        return f"the processor is {machine or 'unknown'}, not x86-64"
    try:
        with _CPUINFO.open(encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), "")  # of the first core
    except OSError:
        flags = ""
    if not flags:
        return f"the features of the processor cannot be read from {_CPUINFO}"
    lacking = sorted(_NEEDED.difference(flags.split()))
    return f"the processor lacks {', '.join(lacking)}" if lacking else ""
