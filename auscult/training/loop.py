"""Train one network on the folds that it does not hold out.

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
from safetensors.torch import save
from torch.nn import functional

from auscult.core.sections import TrainParams
from auscult.models import Hyperparameters, Learned, architecture
from auscult.training.batches import (
    batch_count,
    batch_rows,
    random_batches,
    random_pieces,
    sorted_batches,
    spec_augment,
    whole_rows,
)
from auscult.training.data import FoldData, Rows
from auscult.training.score import best_normal_offset, softmax

WEIGHT_DECAY = 1e-2
GRADIENT_NORM = 5.0
#: Share of the steps in which the learning rate rises.
WARM_UP = 0.25
INFERENCE_BATCH = 256


@dataclass
class Fitted:
    """A trained network and the history of its training.

    Attributes
    ----------
    state
        ``complete``, ``pruned``, or ``failed`` (then *detail* says why).
    history
        One entry per epoch: the columns of ``history.csv`` without the fold.
    epochs
        The epoch whose weights are kept.
    score
        Score of the held-out fold after that epoch; NaN if the fold has no normal or no abnormal unit.
    rank
        Value by which trials are chosen; see :func:`rank`.
    weights
        State of the network after that epoch.
    learned
        The model, where it is not a network.
    logits
        Its outputs for the held-out rows with the log-prior, shape (n, classes).
    """

    state: str = "complete"
    detail: str = ""
    history: list[dict[str, float]] = field(default_factory=list)
    epochs: int = 0
    score: float = float("nan")
    rank: float = -math.inf
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    learned: Learned | None = None
    logits: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def to_bytes(self) -> bytes:
        """Return the content of the model's file; empty where there is no model."""
        if self.learned is not None:
            return self.learned.to_bytes()
        return save({key: value.contiguous() for key, value in self.weights.items()}) if self.weights else b""


def fit(
    data: FoldData,
    model: str,
    hyperparameters: Hyperparameters,
    params: TrainParams,
    seed: int,
    stop_early: Callable[[dict[str, float]], bool] = lambda entry: False,
    epochs: int | None = None,
) -> Fitted:
    """Train one network.

    The loss is the cross-entropy of the outputs plus the logarithms of the class shares: the network learns how much
    more likely the features are in one class than in another, and a rare class needs no weight.

    The learning rate rises and falls once over all epochs, and the weights after the last epoch are kept: the epoch
    is not chosen on the held-out fold. With ``train.patience`` it is: training ends when that many epochs have not
    improved the fold's score, and the best epoch is kept.

    Parameters
    ----------
    stop_early
        Called with the new history entry after each epoch; true ends the training as pruned.
    epochs
        Keep the weights after this epoch, whatever the score of the fold: the choice was made on another fold.

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates"
    (arXiv 1708.07120), for the schedule. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021 (arXiv
    2007.07314), for the loss.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode fills every new tensor with NaN to reveal reads of unwritten memory, for 15 % of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    bins, frames = data.data.features.shape[1:]
    network = architecture(model).build(bins, frames, len(data.data.task.classes), hyperparameters)
    rows = data.training_rows(bool(hyperparameters.get("use_synthetic", False)))
    steps = batch_count(len(rows), batch_rows(len(rows), params.batch_size))
    rate = float(hyperparameters["learning_rate"])
    # Fused: the other kinds call torch.sqrt, MKL's, of which 19 % of the roots depend on the processor's maker.
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=WEIGHT_DECAY, fused=True)
    prior = torch.from_numpy(data.log_prior(rows))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=params.epochs * steps + 1, pct_start=WARM_UP
    )
    result, patience = Fitted(), params.patience if epochs is None else None
    for epoch in range(1, (epochs or params.epochs) + 1):
        loss, accuracy = train_epoch(network, data, rows, prior, optimiser, schedule, params, generator)
        logits = predict(network, data, data.held_out.rows) + prior.numpy()
        measured = validate(data, logits)
        if not (math.isfinite(loss) and math.isfinite(measured["validation_loss"])):
            result.state, result.detail = "failed", f"the loss was not a number in epoch {epoch}"
            return result
        entry = {
            "epoch": epoch,
            "train_loss": loss,
            "train_accuracy": accuracy,
            **measured,
            "learning_rate": float(schedule.get_last_lr()[0]),
        }
        result.history.append(entry)
        if patience is None or rank(entry) > result.rank:
            result.epochs, result.score, result.rank = epoch, measured["validation_score"], rank(entry)
            result.weights, result.logits = copy.deepcopy(network.state_dict()), logits
        if stop_early(entry):
            result.state = "pruned"
            return result
        if patience is not None and epoch - result.epochs >= patience:
            break
    return result


def train_epoch(
    network: torch.nn.Module,
    data: FoldData,
    rows: Rows,
    prior: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    params: TrainParams,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Train for one pass over the rows in random order; *prior* (classes,) is added to the logits.

    Returns
    -------
    loss, accuracy
        Means over the rows, with augmentation and dropout.
    """
    network.train()
    total, correct = 0.0, 0
    size = batch_rows(len(rows), params.batch_size)
    for index in random_batches(len(rows), size, generator):
        x, valid, target = assemble(data, rows.take(index), generator)
        if params.spec_augment:
            x = spec_augment(x, generator)
        logits = network(x, valid) + prior
        loss = functional.cross_entropy(logits, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        total += float(loss.detach()) * len(index)
        correct += int((logits.detach().argmax(dim=1) == target).sum())
    return total / len(rows), correct / len(rows)


def assemble(data: FoldData, rows: Rows, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pieces (n, bins, frames) of a batch of rows, their valid frames (n,), all of them, and classes (n,)."""
    x, valid = data.assembled(rows)
    x = random_pieces(x, valid, data.data.piece, generator)
    whole = torch.full((len(x),), data.data.piece)
    return torch.from_numpy(x), whole, torch.from_numpy(rows.target)


def predict(network: torch.nn.Module, data: FoldData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of rows of the features, shape (n, classes)."""
    network.eval()
    logits = np.zeros((len(rows), len(data.data.task.classes)), dtype=np.float32)
    with torch.inference_mode():
        for index in sorted_batches(data.valid[rows], INFERENCE_BATCH):
            valid = data.valid[rows[index]]
            x, frames = whole_rows(data.normalised(rows[index], int(valid.max())), valid, data.data.piece)
            logits[index] = network(torch.from_numpy(x), torch.from_numpy(frames)).numpy()
    return logits


def validate(data: FoldData, logits: NDArray[np.float32]) -> dict[str, float]:
    """Return loss, accuracy and score over the held-out units (windows of a recording pooled).

    The score is NaN if there are no normal or no abnormal units.
    """
    held_out = data.held_out
    logs = np.log(np.maximum(held_out.pool(softmax(logits.astype(np.float64))), 1e-12))
    loss = float(-logs[np.arange(len(held_out.target)), held_out.target].mean())
    _, score = best_normal_offset(held_out.target, logs, data.data.task.normal_index)
    return {
        "validation_loss": loss,
        "validation_accuracy": float((logs.argmax(axis=1) == held_out.target).mean()),
        "validation_score": score,
    }


def rank(entry: Mapping[str, float | None]) -> float:
    """Return the value by which trials are chosen: the score of the fold, or exp(−loss) if it is undefined."""
    score, loss = entry["validation_score"], entry["validation_loss"]
    if score is not None and math.isfinite(score):
        return score
    return math.exp(-loss) if loss is not None else -math.inf


def describe(fitted: Fitted) -> dict[str, Any]:
    """Return a training as plain data for JSON; numbers that are not finite become ``None``."""
    return {
        "state": fitted.state,
        "detail": fitted.detail,
        "score": fitted.score if math.isfinite(fitted.score) else None,
        "rank": fitted.rank if math.isfinite(fitted.rank) else None,
        "best_epoch": fitted.epochs,
        "epochs": [{k: v if math.isfinite(v) else None for k, v in entry.items()} for entry in fitted.history],
    }
