"""A trained model as a folder of plain files: ``model.json`` and, in ``weights/``, one file per fold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load

from auscult.core.errors import DataError
from auscult.core.storage import read_json
from auscult.core.tasks import Task
from auscult.features.examples import mean_by_unit
from auscult.models import is_network
from auscult.models import load as load_model
from auscult.training.batches import sorted_batches, whole_rows
from auscult.training.decision import Fitted
from auscult.training.normaliser import Normaliser
from auscult.training.score import softmax

#: Version of the folder's layout; other versions are refused.
FORMAT = 3
DESCRIPTION = "model.json"
WEIGHTS = "weights"
#: Rows per call of a network: with more, what a layer leaves does not stay in the processor's cache.
BATCH = 64
#: Rows of the feature array that are read at a time; a multiple of the batch.
BLOCK = 2048
#: Normalised rows (n, bins, frames) and their valid frames (n,) → logits (n, classes).
RowModel = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]


class TrainedModel:
    """A model of one experiment: one network (or trees, …) per held-out fold, calibration and decision.

    Attributes
    ----------
    task
        Classes and unit of the predictions.
    spec
        ``spec.json`` of the feature folder that the model was trained on.
    experiment
        Name of the experiment in ``params.yaml``.
    about
        Content of ``model.json``.
    folds
        The fold that each network was trained without.
    """

    def __init__(self, about: dict[str, Any], networks: list[RowModel]) -> None:
        self._describe(about)
        self._normalisers = [Normaliser.from_json(entry["normaliser"]) for entry in about["folds"]]
        self._log_priors = [np.asarray(entry["log_prior"], dtype=np.float32) for entry in about["folds"]]
        self._networks = networks

    def _describe(self, about: dict[str, Any]) -> None:
        self.about = about
        self.task = Task.from_json(about["task"])
        self.spec: dict[str, Any] = about["spec"]
        self.experiment: str = about["experiment"]
        self.shape: tuple[int, int] = (about["bins"], about["frames"])
        self.folds: list[int] = [entry["fold"] for entry in about["folds"]]
        self.fitted = Fitted.from_json(about)

    @property
    def columns(self) -> int:
        """Number of columns of :meth:`raw`."""
        return len(self.task.classes)

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """Load a model from its folder.

        Raises
        ------
        DataError
            The folder is missing, incomplete, damaged, or has another format.
        """
        about = read_json(folder / DESCRIPTION)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise damaged(folder / DESCRIPTION, f"it is not a description of a model of format {FORMAT}")
        try:
            networks = [_network(folder, about, entry) for entry in about["folds"]]
            return cls(about, networks)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(folder / DESCRIPTION, f"{type(error).__name__}: {error}") from error

    def raw(
        self, features: NDArray[np.float32], frames: NDArray[np.int64], folds: NDArray[np.integer] | None = None
    ) -> NDArray[np.float64]:
        """Return the probabilities of the networks for rows, not calibrated.

        Parameters
        ----------
        features
            Rows of the feature stage, not normalised, shape (n, bins, frames).
        frames
            Valid frames of each row, shape (n,).
        folds
            Fold of each row, shape (n,): only the network without that fold computes the row. −1, and no folds: all do.

        Returns
        -------
        ndarray
            Shape (networks, n, classes), float64; NaN where a network did not compute a row.
        """
        self._check(features)
        frames = np.asarray(frames)
        folds = np.full(len(features), -1) if folds is None else np.asarray(folds)
        result = np.full((len(self._networks), len(features), len(self.task.classes)), np.nan)
        for number, (network, normaliser) in enumerate(zip(self._networks, self._normalisers, strict=True)):
            rows = np.flatnonzero((folds < 0) | (folds == self.folds[number]))
            for batch in sorted_batches(frames[rows], BATCH):
                index = rows[batch]
                valid = normaliser.valid(frames[index], features.shape[2])
                block = np.array(features[index, :, : int(valid.max())], dtype=np.float32)
                normaliser.apply(block, frames[index])
                result[number, index] = network(block, valid) + self._log_priors[number]
        return softmax(result)

    def by_unit(
        self, raw: NDArray[np.float64], units: NDArray[np.integer], recordings: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return the probabilities of units by each network, not calibrated.

        Parameters
        ----------
        raw
            Result of :meth:`raw` for n rows.
        units
            Number of each row's unit, 0…u−1, shape (n,).
        recordings
            Number of each unit's recording, shape (u,); a combination may look at a segment's neighbours.

        Returns
        -------
        ndarray
            Shape (networks, u, classes).
        """
        return np.stack([mean_by_unit(each, units) for each in raw])

    def probabilities(
        self, features: NDArray[np.float32], frames: NDArray[np.int64], units: NDArray[np.integer] | None = None
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities of units: the mean over the networks.

        Parameters
        ----------
        features, frames
            As for :meth:`raw`.
        units
            Number of each row's unit, 0…u−1, shape (n,); without it each row is a unit. Each is taken to be alone in
            its recording.

        Returns
        -------
        ndarray
            Shape (u, classes), float64, rows sum to 1.
        """
        units = np.arange(len(features)) if units is None else units
        alone = np.arange(int(np.max(units, initial=-1)) + 1)
        return self.calibrated(self.by_unit(self.raw(features, frames), units, alone))

    def calibrated(self, pooled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated mean over the networks of their probabilities of units (networks, u, classes)."""
        mean: NDArray[np.float64] = np.mean([self.fitted.calibration.apply(each) for each in pooled], axis=0)
        return mean

    def out_of_fold(
        self, pooled: NDArray[np.float64], fold: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return probabilities and decisions of units of the development part, each by what did not see its fold.

        Parameters
        ----------
        pooled
            Probabilities of the units by each network, shape (networks, u, classes).
        fold
            Fold of each unit, shape (u,).
        """
        probabilities, decided = np.zeros_like(pooled[0]), np.zeros(len(fold), dtype=np.int64)
        for number, entry in enumerate(self.about["folds"]):
            own = fold == entry["fold"]
            probabilities[own], decided[own] = Fitted.from_json(entry).apply(pooled[number][own])
        return probabilities, decided

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the classes of a batch of units, shape (n,), by the rule chosen on out-of-fold predictions."""
        return self.fitted.decision.decide(probabilities)

    def _check(self, features: NDArray[np.float32]) -> None:
        # Pieces of a row may be shorter.
        if features.ndim != 3 or features.shape[1] != self.shape[0] or features.shape[2] > self.shape[1]:
            raise DataError(
                f"features of shape {features.shape} do not fit the model {self.experiment!r},"
                f" which was trained on (rows, {self.shape[0]}, {self.shape[1]})",
                where=f"features {self.spec.get('representation')!r}",
                next_step=f"train it again on these features: dvc repro train@{self.experiment}",
            )


def in_blocks(
    compute: Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
    array: NDArray[np.float32],
    table: pd.DataFrame,
) -> NDArray[np.float64]:
    """Return a function of rows of an array, in bounded memory, shape (folds, n, columns).

    Parameters
    ----------
    compute
        Such as :meth:`TrainedModel.raw`.
    array
        May be a memory map.
    table
        Columns ``row`` (of the array), ``frames`` and ``fold``, n rows.
    """
    where, frames, folds = (table[column].to_numpy(dtype=np.int64) for column in ("row", "frames", "fold"))
    parts = [slice(start, start + BLOCK) for start in range(0, len(where), BLOCK)]
    return np.concatenate(
        [compute(np.asarray(array[where[part]]), frames[part], folds[part]) for part in parts], axis=1
    )


def _network(folder: Path, about: dict[str, Any], entry: dict[str, Any]) -> RowModel:
    """Load the network, or the like, of one fold; verify its file against ``model.json``."""
    path = folder / WEIGHTS / Path(entry["file"]).name
    try:
        blob = path.read_bytes()
    except FileNotFoundError as error:
        raise damaged(path, "it does not exist") from error
    found = hashlib.sha256(blob).hexdigest()
    if found != entry["sha256"]:
        raise damaged(path, f"its checksum is {found[:16]}…, model.json says {str(entry['sha256'])[:16]}…")
    model, classes = load_model(about["model"]), len(about["task"]["classes"])
    try:
        if not is_network(model):
            return model.LEARNED.from_bytes(blob, classes).log_probabilities
        network = model.build(about["bins"], about["frames"], classes, about["hyperparameters"])
        network.load_state_dict(load(blob))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise damaged(path, f"its content does not fit {about['model']!r} as this code builds it: {error}") from error
    return partial(network_logits, network.eval(), int(about["piece"]))


def network_logits(
    network: torch.nn.Module, piece: int, x: NDArray[np.float32], valid: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the logits of normalised rows, shape (n, classes)."""
    rows, used = whole_rows(x, valid, piece)
    with torch.inference_mode():
        logits: NDArray[np.float32] = network(torch.from_numpy(rows), torch.from_numpy(used)).numpy()
    return logits


def damaged(path: Path, why: str) -> DataError:
    """Return the error for a file of a model that cannot be used."""
    folder = path.parent.parent if path.parent.name == WEIGHTS else path.parent
    return DataError(
        f"the model file {path} cannot be used: {why}",
        where=str(folder),
        next_step=f"dvc checkout train@{folder.name}, or dvc repro train@{folder.name}",
    )
