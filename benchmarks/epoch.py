"""A training epoch of the project beside a plain PyTorch loop, both in one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from auscult.core import params as parameters
from auscult.core.tasks import Task
from auscult.models import cnn2d
from auscult.training import loop
from auscult.training.data import Rows, TrainingData, Validation
from auscult.training.normaliser import Normaliser
from benchmarks import Measurement
from benchmarks.process import REPOSITORY

_ROWS, _BINS, _FRAMES, _BATCH, _CLASSES = 1000, 64, 251, 64, 4
_ALTERNATIONS = 3


def measure(scratch: Path) -> list[Measurement]:
    """Measure the median of alternating epochs: same rows, same network, same optimiser."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    features = generator.standard_normal((_ROWS, _BINS, _FRAMES), dtype=np.float32)
    target = generator.integers(0, _CLASSES, _ROWS)
    # As ICBHI's cycles in 5 s at 50 frames per second: half below 2.5 s, 3.4 % cut at the end.
    valid = np.clip(125 * np.exp(0.38 * generator.standard_normal(_ROWS)), 10, _FRAMES).astype(np.int64)
    features[np.broadcast_to((np.arange(_FRAMES) >= valid[:, None])[:, None], features.shape)] = 0.0
    ours, plain = _ours(features, valid, target), _plain(features, target)
    ours()
    plain()
    times = [(_seconds(ours), _seconds(plain)) for _ in range(_ALTERNATIONS)]
    own, other = (statistics.median(column) for column in zip(*times, strict=True))
    size = f"{_ROWS} rows of {_BINS} × {_FRAMES}, as long as ICBHI's cycles, one thread"
    ratio = other / own
    return [
        Measurement("epoch.seconds", f"training epoch of cnn2d, {size}", own, "s"),
        Measurement("epoch.plain_s", "the same network, plainly: float32, NCHW, DataLoader, all padding", other, "s"),
        Measurement("epoch.ratio", "the latter / the former", ratio, "times", "at least 2", ratio >= 2),
    ]


def _seconds(run: Callable[[], None]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _ours(features: np.ndarray, valid: np.ndarray, target: np.ndarray) -> Callable[[], None]:
    """Return an epoch of the loop of ``stages.train``."""
    positions = np.arange(_ROWS)
    rows = Rows(positions, positions, np.zeros(_ROWS, dtype=np.float32), target)
    names = tuple(f"c{n}" for n in range(_CLASSES))
    scale = np.ones(_BINS, dtype=np.float32)
    data = TrainingData(
        task=Task("sounds", "segment", names, "c0", {}),
        spec={},
        normaliser=Normaliser(0 * scale, scale, "mask"),
        features=features,
        valid=valid,
        originals=rows,
        synthetic=rows.take(positions[:0]),
        validation=Validation(positions[:0], positions[:0], positions[:0]),
        patients=(),
        key="",
    )
    network = cnn2d.build(_BINS, _FRAMES, _CLASSES, cnn2d.DEFAULTS)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    params = parameters.load(REPOSITORY / "params.yaml").train
    params = params.model_copy(update={"batch_size": _BATCH, "spec_augment": False})

    def run() -> None:
        loop.train_epoch(network, data, rows, optimiser, torch.ones(_CLASSES), params, generator)

    return run


class PlainNetwork(nn.Module):
    """The layers of cnn2d in PyTorch's default memory format, without masks for padding."""

    def __init__(self) -> None:
        super().__init__()
        network = cnn2d.build(_BINS, _FRAMES, _CLASSES, cnn2d.DEFAULTS)
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        parts = dict(network.named_children())
        self.stem, self.stem_norm, self.head = parts["stem"], parts["stem_norm"], parts["head"]
        self.blocks = nn.Sequential(*parts["blocks"].children())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of images (n, 1, bins, frames)."""
        y: torch.Tensor = torch.relu(self.stem_norm(self.stem(x)))
        y = self.blocks(y)
        length = torch.zeros(len(y), 1)
        logits: torch.Tensor = self.head(torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(2, 3)), length], dim=1))
        return logits


def _plain(features: np.ndarray, target: np.ndarray) -> Callable[[], None]:
    """Return an epoch of a tutorial's loop: TensorDataset, DataLoader, float32."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(features)[:, None], torch.from_numpy(target))
    loader = torch.utils.data.DataLoader(data, batch_size=_BATCH, shuffle=True)
    network = PlainNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def run() -> None:
        network.train()
        for x, y in loader:
            optimiser.zero_grad()
            functional.cross_entropy(network(x), y).backward()
            optimiser.step()

    return run
