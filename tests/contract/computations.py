"""Small computations with every library whose code depends on the processor, and the digests of their results.

``python -m tests.contract.computations`` prints the digests; under an emulator of another processor they must be the
same: ``qemu-x86_64 -cpu Haswell .venv/bin/python -m tests.contract.computations``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from auscult.core.process import prepare


def main() -> None:
    """Print the digest of every computation as JSON."""
    prepare()
    print(json.dumps({name: _digest(compute()) for name, compute in COMPUTATIONS.items()}))


def _digest(arrays: Iterable[Any]) -> str:
    import numpy as np

    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def uniform(*shape: int) -> Any:
    """Return float32 values between −1 and 1: integers alone decide, no function of the C library."""
    import numpy as np

    return (np.random.default_rng(5).random(shape) * 2 - 1).astype(np.float32)


def features() -> list[Any]:
    """Resample, band-pass, log-mel, MFCC: soxr, SciPy, numba, NumPy, OpenBLAS."""
    from auscult.audio.resampling import band_pass, to_rate
    from auscult.core.sections import ResampleParams
    from auscult.features.extraction.spectrogram import LogMel, mfcc

    spec = ResampleParams(sample_rate_hz=8000, low_hz=50.0, high_hz=1900.0, order=4)
    audio = band_pass(to_rate(uniform(44100), 44100, 8000), spec)
    logmel = LogMel(8000, 50.0, 1900.0, n_fft=512, window_length=256, hop_length=80, n_mels=64)(audio)
    return [audio, logmel, mfcc(logmel, 32)]


def baselines() -> list[Any]:
    """Neighbours, gradient boosting, logistic regression: scikit-learn and SciPy's OpenBLAS."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestNeighbors

    x = uniform(120, 30)
    target = (x[:, :3].sum(axis=1) > 0).astype(int)
    boosted = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(x, target)
    linear = LogisticRegression().fit(x.astype("float64"), target)
    distances, rows = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(x).kneighbors(x)
    return [boosted.predict_proba(x), linear.coef_, distances, rows]


def training() -> list[Any]:
    """Initial weights, three steps and the outputs of a network: PyTorch, oneDNN, MKL."""
    import torch
    from torch.nn import functional

    from auscult.models import cnn2d

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(7)
    network = cnn2d.build(32, 50, 4, cnn2d.DEFAULTS | {"bin_stride": 4})
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, fused=True)
    x, valid = torch.from_numpy(uniform(16, 32, 50)), torch.arange(35, 51)
    for _ in range(3):
        optimiser.zero_grad()
        functional.cross_entropy(network(x, valid), torch.arange(16) % 4).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    network.eval()
    with torch.inference_mode():
        return [*(weight.detach().numpy() for weight in network.parameters()), network(x, valid).numpy()]


COMPUTATIONS: dict[str, Callable[[], list[Any]]] = {
    "features": features,
    "baselines": baselines,
    "training": training,
}

if __name__ == "__main__":
    main()
