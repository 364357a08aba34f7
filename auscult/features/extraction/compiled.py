"""The power spectrum of windowed frames, compiled: one pass over the values, where numpy needs six.

The compiled code is kept beside this file; the first run on a machine takes a second longer.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit("void(complex128[:, ::1], int64, float32[:, ::1])", nogil=True, cache=True)
def hann_power(transform: Any, first: Any, power: Any) -> None:
    """Four times the power of frames under Hann's window, from the transforms of the bare frames.

    The window's own transform has three values: 1/2, and -1/4 on either side; here it is twice as high.

    Parameters
    ----------
    transform
        Shape (n, bins + 2): a bin's neighbour more at either end.
    first
        Number of the first bin that is wanted.
    power
        Result, shape (n, wanted bins).
    """
    for row in range(power.shape[0]):
        for column in range(power.shape[1]):
            at = first + column
            value = (transform[row, at] + transform[row, at + 2]) * -0.5 + transform[row, at + 1]
            real, imaginary = np.float32(value.real), np.float32(value.imag)
            power[row, column] = real * real + imaginary * imaginary
