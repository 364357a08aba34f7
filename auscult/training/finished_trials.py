"""Finished trainings on disk, outside DVC's outputs, so that an interrupted search resumes.

Each search has a folder in ``.cache/search/``, named by a digest of data, parameters, code and library
versions. A finished training has one JSON file there, written after its weights. An interrupted training has
none and runs again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from auscult.core.storage import replacing_file, write_json

if TYPE_CHECKING:
    from auscult.training.loop import Fitted

_LOGITS = "validation_logits"


@dataclass(frozen=True)
class FinishedTrials:
    """The finished trainings of one search: trials, and the best trial on the other folds."""

    folder: Path

    def weights(self, name: str) -> Path:
        """Return the path of the weights of a training, or of a model that has none: its file."""
        return self.folder / f"{name}.weights"

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the record of a training; ``None`` if it did not finish or its file is damaged."""
        try:
            entry = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return entry if isinstance(entry, dict) else None

    def complete(self, name: str) -> bool:
        """Return whether a training has a record, weights and logits."""
        return self.read(name) is not None and self.weights(name).exists() and self._logits(name).exists()

    def write(self, name: str, entry: dict[str, Any], fitted: Fitted) -> None:
        """Write a finished training; the JSON file comes last, so it is present only with its weights."""
        if entry["state"] == "complete" and (content := fitted.to_bytes()):
            logits = save({_LOGITS: np.ascontiguousarray(fitted.logits)})
            for path, blob in ((self.weights(name), content), (self._logits(name), logits)):
                with replacing_file(path) as scratch:
                    scratch.write_bytes(blob)
        write_json(self.folder / f"{name}.json", entry)

    def logits(self, name: str) -> NDArray[np.float32]:
        """Return the logits of a training for the held-out rows, shape (n, classes)."""
        return load(self._logits(name).read_bytes())[_LOGITS]

    def _logits(self, name: str) -> Path:
        return self.folder / f"{name}.logits"

    def remove_weights(self, name: str) -> None:
        """Remove weights and logits of a trial that is not the best; its record stays."""
        self.weights(name).unlink(missing_ok=True)
        self._logits(name).unlink(missing_ok=True)
