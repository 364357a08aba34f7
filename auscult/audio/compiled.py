"""A loop over samples, compiled with numba: second-order sections.

The compiled code is cached beside this file; the first run on a machine takes a second longer.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 4


def forward_backward(
    sos: NDArray[np.float64], steady: NDArray[np.float64], samples: NDArray[np.float32], edge: int
) -> NDArray[np.float32]:
    """Return ``scipy.signal.sosfiltfilt(sos, samples, padlen=edge)``, rounded to float32.

    Four sections run at once with their states in registers, while scipy's loop keeps them in memory.
    Multiply and add may be fused, so the last bits of a double can differ from scipy's.

    Parameters
    ----------
    sos
        Sections, shape (n, 6).
    steady
        States for a constant input of 1, shape (n, 2): ``scipy.signal.sosfilt_zi(sos)``.
    samples
        Shape (m,), m > edge.
    edge
        Samples by which the signal is extended at each end, by an odd reflection.
    """
    first, last = samples[0], samples[-1]
    before = 2 * first - samples[edge:0:-1]
    after = 2 * last - samples[-2 : -edge - 2 : -1]
    signal = np.concatenate([before, samples, after], dtype=np.float64)
    filtered = np.empty(len(signal), dtype=np.float32)
    # Identity sections fill the last group of four.
    lacking = -len(sos) % _AT_ONCE
    sos = np.vstack([sos, np.tile([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (lacking, 1))])
    steady = np.vstack([steady, np.zeros((lacking, 2))])
    for backward in (False, True):
        begin = signal[-1 if backward else 0]
        for group in range(0, len(sos), _AT_ONCE):
            chosen = slice(group, group + _AT_ONCE)
            final = backward and group + _AT_ONCE == len(sos)
            target = filtered if final else signal
            _four_sections(sos[chosen], steady[chosen] * begin, signal, target, backward)
    return filtered[edge : len(signal) - edge]


@numba.njit(
    [
        "void(float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], boolean)",
        "void(float64[:, ::1], float64[:, ::1], float64[::1], float32[::1], boolean)",
    ],
    nogil=True,
    cache=True,
    fastmath={"contract"},
)
def _four_sections(sos: Any, state: Any, signal: Any, target: Any, backward: Any) -> None:
    """Run four sections over a signal, from its end if *backward* (transposed direct form II)."""
    b00, b01, b02, a01, a02 = sos[0, 0], sos[0, 1], sos[0, 2], sos[0, 4], sos[0, 5]
    b10, b11, b12, a11, a12 = sos[1, 0], sos[1, 1], sos[1, 2], sos[1, 4], sos[1, 5]
    b20, b21, b22, a21, a22 = sos[2, 0], sos[2, 1], sos[2, 2], sos[2, 4], sos[2, 5]
    b30, b31, b32, a31, a32 = sos[3, 0], sos[3, 1], sos[3, 2], sos[3, 4], sos[3, 5]
    s00, s01, s10, s11 = state[0, 0], state[0, 1], state[1, 0], state[1, 1]
    s20, s21, s30, s31 = state[2, 0], state[2, 1], state[3, 0], state[3, 1]
    begin, end, step = (signal.size - 1, -1, -1) if backward else (0, signal.size, 1)
    for at in range(begin, end, step):
        x0 = signal[at]
        x1 = b00 * x0 + s00
        s00 = (b01 * x0 + s01) - a01 * x1
        s01 = b02 * x0 - a02 * x1
        x2 = b10 * x1 + s10
        s10 = (b11 * x1 + s11) - a11 * x2
        s11 = b12 * x1 - a12 * x2
        x3 = b20 * x2 + s20
        s20 = (b21 * x2 + s21) - a21 * x3
        s21 = b22 * x2 - a22 * x3
        x4 = b30 * x3 + s30
        s30 = (b31 * x3 + s31) - a31 * x4
        s31 = b32 * x3 - a32 * x4
        target[at] = x4
