"""A trained model as a folder of plain files: ``model.json`` and, in ``weights/``, one safetensors file per seed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load

from auscult.core.errors import DataError
from auscult.core.storage import read_json
from auscult.core.tasks import Task
from auscult.models import architecture
from auscult.training.batches import frames_needed, sorted_batches
from auscult.training.normaliser import Normaliser
from auscult.training.score import calibrated, decide

#: Version of the folder's layout; other versions are refused.
FORMAT = 1
DESCRIPTION = "model.json"
WEIGHTS = "weights"
BATCH = 256


class TrainedModel:
    """A model of one experiment: networks of several seeds, calibration and decision offsets.

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
    """

    def __init__(self, about: dict[str, Any], networks: list[torch.nn.Module]) -> None:
        self.about = about
        self.task = Task.from_json(about["task"])
        self.spec: dict[str, Any] = about["spec"]
        self.experiment: str = about["experiment"]
        self.normaliser = Normaliser.from_json(about["normaliser"])
        self.temperature = float(about["temperature"])
        self.biases = np.asarray(about["biases"], dtype=np.float64)
        self.offsets = np.asarray(about["offsets"], dtype=np.float64)
        self.shape: tuple[int, int] = (about["bins"], about["frames"])
        self._networks = networks

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
            raise _damaged(folder / DESCRIPTION, f"it is not a description of a model of format {FORMAT}")
        try:
            networks = [_network(folder, about, entry) for entry in about["seeds"]]
            return cls(about, networks)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder / DESCRIPTION, f"{type(error).__name__}: {error}") from error

    def logits(self, features: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the raw outputs of every seed's network, shape (seeds, n, classes)."""
        self._check(features)
        result = np.zeros((len(self._networks), len(features), len(self.task.classes)))
        with torch.inference_mode():
            for index in sorted_batches(np.asarray(frames), BATCH):
                block, lengths = np.array(features[index], dtype=np.float32), np.asarray(frames)[index]
                self.normaliser.apply(block, lengths)
                valid = self.normaliser.valid(lengths, block.shape[2])
                x = torch.from_numpy(block[:, :, : frames_needed(valid, block.shape[2])])
                for seed, network in enumerate(self._networks):
                    result[seed, index] = network(x, torch.from_numpy(valid)).numpy()
        return result

    def probabilities(self, features: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return calibrated probabilities per row, the mean over the seeds.

        Parameters
        ----------
        features
            Rows of the feature stage, not normalised, shape (n, bins, frames).
        frames
            Valid frames of each row, shape (n,).

        Returns
        -------
        ndarray
            Shape (n, classes), float64, rows sum to 1.
        """
        return calibrated(self.logits(features, frames), self.temperature, self.biases)

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return class indices, shape (n,), at the offsets that were chosen on validation."""
        return decide(probabilities, self.offsets)

    def _check(self, features: NDArray[np.float32]) -> None:
        if features.ndim != 3 or features.shape[1:] != self.shape:
            raise DataError(
                f"features of shape {features.shape} do not fit the model {self.experiment!r},"
                f" which was trained on (rows, {self.shape[0]}, {self.shape[1]})",
                where=f"features {self.spec.get('representation')!r}",
                next_step=f"train it again on these features: dvc repro train@{self.experiment}",
            )


def _network(folder: Path, about: dict[str, Any], entry: dict[str, Any]) -> torch.nn.Module:
    """Load the network of one seed; verify its file against ``model.json``."""
    path = folder / WEIGHTS / Path(entry["file"]).name
    try:
        blob = path.read_bytes()
    except FileNotFoundError as error:
        raise _damaged(path, "it does not exist") from error
    found = hashlib.sha256(blob).hexdigest()
    if found != entry["sha256"]:
        raise _damaged(path, f"its checksum is {found[:16]}…, model.json says {str(entry['sha256'])[:16]}…")
    network = architecture(about["model"]).build(
        about["bins"], about["frames"], len(about["task"]["classes"]), about["hyperparameters"]
    )
    try:
        network.load_state_dict(load(blob))
    except (SafetensorError, RuntimeError) as error:
        raise _damaged(path, f"its tensors do not fit {about['model']!r} as this code builds it: {error}") from error
    return network.eval()


def _damaged(path: Path, why: str) -> DataError:
    folder = path.parent.parent if path.parent.name == WEIGHTS else path.parent
    return DataError(
        f"the model file {path} cannot be used: {why}",
        where=str(folder),
        next_step=f"dvc checkout train@{folder.name}, or dvc repro train@{folder.name}",
    )
