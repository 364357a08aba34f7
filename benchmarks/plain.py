"""The plain loop: file by file with librosa and SciPy. ``python -m benchmarks.plain <raw folder> <output folder>``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from scipy import signal

RATE_HZ, LOW_HZ, HIGH_HZ, ORDER = 8000, 50.0, 1900.0, 4
MEL: dict[str, Any] = {"n_fft": 512, "win_length": 256, "hop_length": 80, "n_mels": 64, "fmin": LOW_HZ, "fmax": HIGH_HZ}


def logmel_and_mfcc(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-mel spectrogram and the MFCC of one recording."""
    sos = signal.butter(ORDER, [LOW_HZ, HIGH_HZ], "bandpass", fs=RATE_HZ, output="sos")
    audio, _ = librosa.load(path, sr=RATE_HZ, res_type="soxr_hq")
    audio = signal.sosfiltfilt(sos, audio).astype(np.float32)
    logmel = librosa.power_to_db(librosa.feature.melspectrogram(y=audio, sr=RATE_HZ, **MEL), top_db=None)
    return logmel, librosa.feature.mfcc(y=audio, sr=RATE_HZ, n_mfcc=32, **MEL)


def main() -> None:
    """Write both for every recording."""
    raw, out = Path(sys.argv[1]), Path(sys.argv[2])
    for path in sorted(raw.glob("*.wav")):
        for name, array in zip(("logmel", "mfcc"), logmel_and_mfcc(path), strict=True):
            np.save(out / f"{path.stem}.{name}.npy", array)


if __name__ == "__main__":
    main()
