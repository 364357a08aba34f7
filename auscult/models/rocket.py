"""Random convolutions (MiniRocket) over the frames, and logistic regression on how often each exceeds its thresholds.

The kernels are those of Dempster et al., "MiniRocket: a very fast (almost) deterministic transform for time series
classification", KDD 2021 (arXiv 2012.08791): nine weights, three of them 2 and the others −1, at several dilations;
a feature is the share of frames at which the output exceeds a threshold. A kernel adds up a few random bins. Unlike the
paper, thresholds come from all training rows of a sample, and the outputs at the ends are kept at every dilation.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch.nn import functional

from auscult.models.layers.linear import of_all_classes

if TYPE_CHECKING:
    from auscult.models import Batches, Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"thresholds": 6, "bins_per_kernel": 4, "regularisation": 1e-3}

TAPS = 9
#: Positions of the weights 2 in each kernel, shape (84, 3).
KERNELS = np.array(list(itertools.combinations(range(TAPS), 3)))
#: Rows whose outputs give the thresholds.
SAMPLE = 128
#: Largest number of dilations.
DILATIONS = 6


@dataclass(frozen=True)
class Convolutions:
    """Kernels with their thresholds, and the weights of the logistic regression.

    Attributes
    ----------
    dilations
        Frames between two weights, shape (d,).
    bins
        Which bins each kernel adds up, shape (d, 84, bins), 0 or 1.
    thresholds
        Shape (d, 84, thresholds).
    mean, scale
        Of the features over the training rows, shape (features,) with features = d · 84 · thresholds.
    weights, intercepts
        Of the classes, shapes (classes, features) and (classes,).
    piece
        Frames of a piece, shape (1,).
    """

    SUFFIX: ClassVar[str] = ".safetensors"

    dilations: NDArray[np.int64]
    bins: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    intercepts: NDArray[np.float32]
    piece: NDArray[np.int64]

    def log_probabilities(self, x: NDArray[np.float32], valid: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log-probabilities (n, classes) of normalised rows (n, bins, frames) and their valid frames (n,)."""
        features = transform(x, valid, int(self.piece[0]), self.dilations, self.bins, self.thresholds)
        margins = ((features - self.mean) / self.scale).astype(np.float64) @ self.weights.T + self.intercepts
        logs: NDArray[np.float64] = margins - np.logaddexp.reduce(margins, axis=1, keepdims=True)
        return logs.astype(np.float32)

    def to_bytes(self) -> bytes:
        """Return the arrays in the safetensors format."""
        return save({name: np.ascontiguousarray(array) for name, array in asdict(self).items()})

    @classmethod
    def from_bytes(cls, blob: bytes, classes: int) -> Convolutions:
        """Read the result of :meth:`to_bytes`; raise ``ValueError`` where it does not fit."""
        try:
            found = cls(**load(blob))
        except (SafetensorError, TypeError) as error:
            raise ValueError(str(error)) from error
        shape = classes, found.thresholds.size
        if found.weights.shape != shape:
            raise ValueError(f"weights of shape {found.weights.shape}, not {shape}")
        return found


LEARNED = Convolutions


def fit(batches: Batches, classes: int, hyperparameters: Hyperparameters, seed: int) -> Convolutions:
    """Fit on training rows; a class without rows gets a low probability."""
    # Training alone needs it, and it takes more than a second.
    from sklearn.linear_model import LogisticRegression

    torch.set_num_threads(1)
    generator = np.random.default_rng(seed)
    count, piece = len(batches.target), batches.piece
    chosen = np.zeros(count, dtype=bool)
    chosen[generator.permutation(count)[:SAMPLE]] = True
    sample = [(x[chosen[index]], valid[chosen[index]]) for index, x, valid in batches if chosen[index].any()]
    dilations = _dilations(piece)
    bins = _bins(generator, len(dilations), sample[0][0].shape[1], int(hyperparameters["bins_per_kernel"]))
    thresholds = _thresholds(sample, piece, dilations, bins, int(hyperparameters["thresholds"]))
    features = np.empty((count, thresholds.size), dtype=np.float32)
    for index, x, valid in batches:
        features[index] = transform(x, valid, piece, dilations, bins, thresholds)
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-3)
    model = LogisticRegression(C=float(hyperparameters["regularisation"]), max_iter=60, tol=1e-3)
    with warnings.catch_warnings():  # it ends after a fixed number of steps, converged or not
        warnings.simplefilter("ignore")
        found = of_all_classes(model, (features - mean) / scale, batches.target, classes)
    weights, intercepts = (each.astype(np.float32) for each in found)
    return Convolutions(dilations, bins, thresholds, mean, scale, weights, intercepts, np.array([piece]))


def transform(
    x: NDArray[np.float32],
    valid: NDArray[np.int64],
    piece: int,
    dilations: NDArray[np.int64],
    bins: NDArray[np.float32],
    thresholds: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the features of rows (n, bins, frames), shape (n, features): the means over the pieces of each row."""
    rows, owner = pieces(x, valid, piece)
    shares = np.empty((len(rows), *thresholds.shape), dtype=np.float32)
    for number, dilation in enumerate(dilations):
        output = _convolve(rows, int(dilation), bins[number])
        for place in range(thresholds.shape[2]):
            above = output > torch.from_numpy(thresholds[number, :, place, None])
            shares[:, number, :, place] = above.to(torch.float32).mean(dim=2).numpy()
    result = np.zeros((len(x), thresholds.size), dtype=np.float32)
    np.add.at(result, owner, shares.reshape(len(rows), -1))
    counts = np.bincount(owner, minlength=len(x)).astype(np.float32)
    mean: NDArray[np.float32] = result / counts[:, None]
    return mean


def pieces(
    x: NDArray[np.float32], valid: NDArray[np.int64], length: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return pieces of *length* frames that cover each row evenly, and the row of each; a short row is repeated."""
    count = -(-valid // length)
    owner = np.repeat(np.arange(len(x)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    room = np.maximum(valid - length, 0)
    start = number * room[owner] // np.maximum(count[owner] - 1, 1)
    index = (start[:, None] + np.arange(length)) % valid[owner, None]
    return np.take_along_axis(x[owner], index[:, None, :], axis=2), owner


def _convolve(rows: NDArray[np.float32], dilation: int, bins: NDArray[np.float32]) -> torch.Tensor:
    """Return the outputs (n, 84, frames) of the kernels at one dilation; *bins* has shape (84, bins)."""
    taps = np.full((len(KERNELS), TAPS), -1.0, dtype=np.float32)
    np.put_along_axis(taps, KERNELS, 2.0, axis=1)
    weight = torch.from_numpy(bins[:, :, None] * taps[:, None, :])
    with torch.inference_mode():
        return functional.conv1d(torch.from_numpy(rows), weight, dilation=dilation, padding="same")


def _dilations(piece: int) -> NDArray[np.int64]:
    """Return dilations from 1 to the largest whose kernel fits a piece, evenly spaced in the logarithm."""
    largest = max(1, (piece - 1) // (TAPS - 1))
    return np.unique(np.geomspace(1, largest, DILATIONS).astype(np.int64))


def _bins(generator: np.random.Generator, dilations: int, bins: int, most: int) -> NDArray[np.float32]:
    chosen = np.zeros((dilations, len(KERNELS), bins), dtype=np.float32)
    for place in np.ndindex(dilations, len(KERNELS)):
        count = int(generator.integers(1, min(most, bins) + 1))
        chosen[place][generator.permutation(bins)[:count]] = 1.0
    return chosen


def _thresholds(
    sample: list[tuple[NDArray[np.float32], NDArray[np.int64]]],
    piece: int,
    dilations: NDArray[np.int64],
    bins: NDArray[np.float32],
    count: int,
) -> NDArray[np.float32]:
    """Return quantiles of the outputs on some rows, spread by the golden ratio as in the paper."""
    rows = np.concatenate([pieces(x, valid, piece)[0] for x, valid in sample])
    golden = (np.sqrt(5.0) + 1.0) / 2.0
    result = np.empty((len(dilations), len(KERNELS), count), dtype=np.float32)
    for number, dilation in enumerate(dilations):
        output = _convolve(rows, int(dilation), bins[number]).numpy().transpose(1, 0, 2).reshape(len(KERNELS), -1)
        output = np.sort(output, axis=1)
        for kernel in range(len(KERNELS)):
            quantiles = (np.arange(1, count + 1) + kernel * count) * golden % 1.0
            result[number, kernel] = output[kernel, (quantiles * (output.shape[1] - 1)).astype(np.int64)]
    return result
