"""Finished trainings on disk, outside DVC's outs, so that a killed search goes on where it was.

One folder per search under ``.cache/search/``, named by a digest of data,
parameters, code and library versions; one JSON file per finished training, written
after its weights. A training that was killed has left nothing and runs again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.core.storage import replacing_file, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from auscult.training.loop import Fitted

LOGITS = "validation_logits"


@dataclass(frozen=True)
class Journal:
    """The finished trainings of one search."""

    folder: Path

    def weights(self, name: str) -> Path:
        """Weights of a training's best epoch."""
        return self.folder / f"{name}.safetensors"

    def read(self, name: str) -> dict[str, Any] | None:
        """What a finished training left; None when it did not finish (or its file is damaged)."""
        try:
            entry = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return entry if isinstance(entry, dict) else None

    def complete(self, name: str) -> bool:
        """Whether a training's weights and outputs are there as well."""
        return self.read(name) is not None and self.weights(name).exists() and self._logits(name).exists()

    def write(self, name: str, entry: dict[str, Any], fitted: Fitted) -> None:
        """Record a finished training: weights first, so that the JSON file vouches for them."""
        import torch
        from safetensors.torch import save

        if fitted.weights and entry["state"] == "complete":
            tensors = {key: value.contiguous() for key, value in fitted.weights.items()}
            self._put(f"{name}.safetensors", save(tensors))
            self._put(f"{name}.logits", save({LOGITS: torch.from_numpy(fitted.logits)}))
        write_json(self.folder / f"{name}.json", entry)

    def logits(self, name: str) -> NDArray[np.float32]:
        """Outputs of a training's best epoch for the validation rows, shape (n, classes)."""
        from safetensors.numpy import load

        return load(self._logits(name).read_bytes())[LOGITS]

    def _logits(self, name: str) -> Path:
        return self.folder / f"{name}.logits"

    def forget_weights(self, name: str) -> None:
        """Drop the weights of a trial that is not the best; its record stays."""
        self.weights(name).unlink(missing_ok=True)
        self._logits(name).unlink(missing_ok=True)

    def _put(self, name: str, blob: bytes) -> None:
        with replacing_file(self.folder / name) as scratch:
            scratch.write_bytes(blob)
