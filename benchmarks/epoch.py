"""A training epoch of the project beside a plain PyTorch loop, both in one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from auscult.core import params as parameters
from auscult.core.tasks import Task
from auscult.models import cnn2d
from auscult.training import loop
from auscult.training.data import FoldData, HeldOut, Rows, TrainingData
from auscult.training.normaliser import Normaliser
from benchmarks import Measurement
from benchmarks.process import REPOSITORY

_ROWS, _BINS, _FRAMES, _BATCH, _CLASSES = 1000, 64, 501, 64, 4
#: Frames of a row in training: 2 s.
_PIECE = 200
_ALTERNATIONS = 3


def measure(scratch: Path) -> list[Measurement]:
    """Measure the median of alternating epochs: same rows, same network, same optimiser."""
    torch.set_num_threads(1)
    features, valid, target = _examples()
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


def seconds() -> float:
    """Return the time of an epoch of the project's loop, after one that warms it up."""
    torch.set_num_threads(1)
    epoch = _ours(*_examples())
    epoch()
    return _seconds(epoch)


def _examples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (rows, bins, frames), valid frames and classes."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((_ROWS, _BINS, _FRAMES), dtype=np.float32)
    target = generator.integers(0, _CLASSES, _ROWS)
    # As ICBHI's cycles in 5 s at 100 frames per second: half below 2.5 s, 3.4 % cut at the end.
    valid = np.clip(250 * np.exp(0.38 * generator.standard_normal(_ROWS)), 20, _FRAMES).astype(np.int64)
    features[np.broadcast_to((np.arange(_FRAMES) >= valid[:, None])[:, None], features.shape)] = 0.0
    return features, valid, target


def _seconds(run: Callable[[], None]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _ours(features: np.ndarray, valid: np.ndarray, target: np.ndarray) -> Callable[[], None]:
    """Return an epoch of the loop of ``stages.train``."""
    positions = np.arange(_ROWS)
    rows = Rows(positions, positions, np.zeros(_ROWS, dtype=np.float32), target)
    names = tuple(f"c{n}" for n in range(_CLASSES))
    everything = TrainingData(
        task=Task("sounds", "segment", names, "c0", {}),
        spec={},
        features=features,
        frames=valid,
        table=pd.DataFrame(),
        piece=_PIECE,
        synthetic=rows.take(positions[:0]),
        synthetic_fold=positions[:0],
        patients=(),
        key="",
    )
    scale = np.ones(_BINS, dtype=np.float32)
    data = FoldData(
        data=everything,
        fold=0,
        normaliser=Normaliser(0 * scale, scale, "mask"),
        originals=rows,
        synthetic=rows.take(positions[:0]),
        held_out=HeldOut(positions[:0], positions[:0], positions[:0], pd.DataFrame()),
    )
    network = cnn2d.build(_BINS, _FRAMES, _CLASSES, cnn2d.DEFAULTS)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    generator = torch.Generator().manual_seed(0)
    params = parameters.load(REPOSITORY / "params.yaml").train
    params = params.model_copy(update={"batch_size": _BATCH, "spec_augment": False})

    def run() -> None:
        loop.train_epoch(network, data, rows, torch.zeros(_CLASSES), optimiser, schedule, params, generator)

    return run


class PlainNetwork(nn.Module):
    """The layers of cnn2d in PyTorch's default memory format, without masks for padding."""

    def __init__(self) -> None:
        super().__init__()
        network = cnn2d.build(_BINS, _FRAMES, _CLASSES, cnn2d.DEFAULTS)
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        parts = dict(network.named_children())
        self.stem, self.stem_norm, self.blocks = parts["stem"], parts["stem_norm"], parts["blocks"]
        self.pooling, self.head = parts["pooling"], parts["head"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of images (n, 1, bins, frames)."""
        y: torch.Tensor = torch.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks.children():
            y = block(y, None)
        logits: torch.Tensor = self.head(self.pooling(y.mean(dim=2), y.amax(dim=(2, 3)), None))
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
