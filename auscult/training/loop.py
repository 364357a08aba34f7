"""Train one network and keep the weights of the best epoch.

Equal data, hyperparameters and seeds give equal bits: one thread, seeded generators, deterministic
kernels. Batches are slices of arrays in memory, as the workers of a ``DataLoader`` are slower here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from auscult.core.sections import TrainParams
from auscult.models import Hyperparameters, architecture
from auscult.training.batches import batch_rows, frames_needed, random_batches, sorted_batches, spec_augment
from auscult.training.data import Rows, TrainingData
from auscult.training.score import best_normal_offset, calibrated

WEIGHT_DECAY = 1e-2
GRADIENT_NORM = 5.0
#: The learning rate is multiplied by this factor after more than this many epochs without a lower validation loss.
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.3, 2
#: The model is a moving average of the weights; each step keeps this share of the average, at first less.
AVERAGE_DECAY = 0.98
INFERENCE_BATCH = 256


@dataclass
class Fitted:
    """The best epoch of a training and its history.

    Attributes
    ----------
    state
        ``complete``, ``pruned``, or ``failed`` (then *detail* says why).
    history
        One entry per epoch: the columns of ``history.csv`` without seed.
    score
        Validation score of the best epoch; NaN if validation has no normal or no abnormal unit.
    rank
        Value by which the epoch, and later the trial, is chosen; see :func:`rank`.
    weights
        State of the network after the best epoch.
    logits
        Its outputs for the validation rows, shape (n, classes).
    """

    state: str = "complete"
    detail: str = ""
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    score: float = float("nan")
    rank: float = -math.inf
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    logits: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))


def fit(
    data: TrainingData,
    model: str,
    hyperparameters: Hyperparameters,
    params: TrainParams,
    seed: int,
    stop_early: Callable[[dict[str, float]], bool] = lambda entry: False,
) -> Fitted:
    """Train one network; keep the epoch with the best validation score, of equal ones the lowest loss.

    The validated and kept weights are the average over the last steps (about 50, fewer at the
    beginning): ten epochs are too few for the weights to converge, and their average varies less.

    Parameters
    ----------
    stop_early
        Called with the new history entry after each epoch; true ends the training as pruned.

    References
    ----------
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on
    Control and Optimization 30 (1992), for the average; its exponential form is common practice.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode fills every new tensor with NaN to reveal reads of unwritten memory, for 15 % of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    bins, frames = data.features.shape[1:]
    classes = len(data.task.classes)
    network = architecture(model).build(bins, frames, classes, hyperparameters)
    averaged = AveragedModel(network, avg_fn=_moving_average, use_buffers=True)
    rows = data.training_rows(bool(hyperparameters.get("use_synthetic", False)))
    weights = class_weights(rows.target, classes) if params.class_weights else torch.ones(classes)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=float(hyperparameters["learning_rate"]), weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, threshold=1e-3
    )
    result, best = Fitted(), (-math.inf, -math.inf)
    for epoch in range(1, params.epochs + 1):
        rate = optimiser.param_groups[0]["lr"]
        loss, accuracy = train_epoch(network, data, rows, optimiser, weights, params, generator, averaged)
        logits = predict(averaged.module, data, data.validation.rows)
        measured = validate(data, logits)
        if not (math.isfinite(loss) and math.isfinite(measured["validation_loss"])):
            result.state, result.detail = "failed", f"the loss was not a number in epoch {epoch}"
            return result
        entry = {"epoch": epoch, "train_loss": loss, "train_accuracy": accuracy, **measured, "learning_rate": rate}
        result.history.append(entry)
        value = (rank(entry), -measured["validation_loss"])
        if value > best:
            best, result.best_epoch = value, epoch
            result.score, result.rank = measured["validation_score"], value[0]
            result.weights, result.logits = copy.deepcopy(averaged.module.state_dict()), logits
        if stop_early(entry):
            result.state = "pruned"
            return result
        if epoch - result.best_epoch >= params.patience:
            break
        schedule.step(measured["validation_loss"])
    return result


def train_epoch(
    network: torch.nn.Module,
    data: TrainingData,
    rows: Rows,
    optimiser: torch.optim.Optimizer,
    weights: torch.Tensor,
    params: TrainParams,
    generator: torch.Generator,
    averaged: AveragedModel | None = None,
) -> tuple[float, float]:
    """Train for one pass over the rows in random order; *averaged* is updated after each step.

    Returns
    -------
    loss, accuracy
        Unweighted means over the rows, with augmentation and dropout.
    """
    network.train()
    total, correct = 0.0, 0
    size = batch_rows(len(rows), params.batch_size)
    for index in random_batches(row_frames(data, rows), size, generator):
        x, valid, target = assemble(data, rows.take(index))
        if params.spec_augment:
            x = spec_augment(x, valid, generator)
        logits = network(x, valid)
        losses = functional.cross_entropy(logits, target, reduction="none")
        share = weights[target]
        optimiser.zero_grad(set_to_none=True)
        ((losses * share).sum() / share.sum()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimiser.step()
        if averaged is not None:
            averaged.update_parameters(network)
        total += float(losses.detach().sum())
        correct += int((logits.detach().argmax(dim=1) == target).sum())
    return total / len(rows), correct / len(rows)


def _moving_average(average: torch.Tensor, weight: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
    """Return the average after one more step; early steps weigh more, so that the random start is soon forgotten."""
    decay = min(AVERAGE_DECAY, (1 + int(steps)) / (10 + int(steps)))
    return decay * average + (1 - decay) * weight


def row_frames(data: TrainingData, rows: Rows) -> NDArray[np.int64]:
    """Return the valid frames of training rows, shape (n,).

    After the end of one parent a synthetic row is partly padding: it ends with the nearer parent.
    """
    return data.valid[np.where(rows.step < 0.5, rows.first, rows.second)]


def assemble(data: TrainingData, rows: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features (n, bins, frames of the longest), valid frames (n,) and classes (n,) of a batch of rows."""
    valid = row_frames(data, rows)
    needed = frames_needed(valid, data.features.shape[2])
    x = data.features[rows.first, :, :needed]
    synthetic = np.flatnonzero(rows.first != rows.second)
    if len(synthetic):
        step = rows.step[synthetic, None, None]
        x[synthetic] += step * (data.features[rows.second[synthetic], :, :needed] - x[synthetic])
    return torch.from_numpy(x), torch.from_numpy(valid), torch.from_numpy(rows.target)


def predict(network: torch.nn.Module, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of rows of the features, shape (n, classes)."""
    network.eval()
    logits = np.zeros((len(rows), len(data.task.classes)), dtype=np.float32)
    with torch.inference_mode():
        for index in sorted_batches(data.valid[rows], INFERENCE_BATCH):
            valid = data.valid[rows[index]]
            x = data.features[rows[index], :, : frames_needed(valid, data.features.shape[2])]
            logits[index] = network(torch.from_numpy(x), torch.from_numpy(valid)).numpy()
    return logits


def validate(data: TrainingData, logits: NDArray[np.float32]) -> dict[str, float]:
    """Return loss, accuracy and score over the validation units (windows of a recording pooled).

    The score is NaN if there are no normal or no abnormal units.
    """
    held_out = data.validation
    probabilities = held_out.pool(calibrated(logits[None].astype(np.float64), 1.0))
    logs = np.log(np.maximum(probabilities, 1e-12))
    loss = float(-logs[np.arange(len(held_out.target)), held_out.target].mean())
    _, score = best_normal_offset(held_out.target, logs, data.task.normal_index)
    return {
        "validation_loss": loss,
        "validation_accuracy": float((logs.argmax(axis=1) == held_out.target).mean()),
        "validation_score": score,
    }


def rank(entry: Mapping[str, float | None]) -> float:
    """Return the value by which epochs and trials are chosen: the validation score, or exp(−loss) if undefined."""
    score, loss = entry["validation_score"], entry["validation_loss"]
    if score is not None and math.isfinite(score):
        return score
    return math.exp(-loss) if loss is not None else -math.inf


def class_weights(target: NDArray[np.int64], classes: int) -> torch.Tensor:
    """Return square roots of inverse class frequencies with mean 1 over the rows, shape (classes,).

    Full inverse frequencies make training unstable if the rarest class has a few rows in thousands.
    """
    counts = np.maximum(np.bincount(target, minlength=classes), 1)
    roots = np.sqrt(counts.sum() / counts)
    return torch.from_numpy((roots / roots[target].mean()).astype(np.float32))


def describe(fitted: Fitted) -> dict[str, Any]:
    """Return a training as plain data for JSON; numbers that are not finite become ``None``."""
    return {
        "state": fitted.state,
        "detail": fitted.detail,
        "score": fitted.score if math.isfinite(fitted.score) else None,
        "rank": fitted.rank if math.isfinite(fitted.rank) else None,
        "best_epoch": fitted.best_epoch,
        "epochs": [{k: v if math.isfinite(v) else None for k, v in entry.items()} for entry in fitted.history],
    }
