"""A combination of trained models as a folder: ``model.json``, and the folder of each member in ``members/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.combination.methods import method
from auscult.core.digests import file_sha256
from auscult.core.storage import read_json
from auscult.training.trained_model import DESCRIPTION, FORMAT, TrainedModel, damaged

MEMBERS = "members"


class CombinedModel(TrainedModel):
    """A model whose outputs are computed from those of its members.

    Attributes
    ----------
    members
        Trained models or other combinations, all with one network per fold of the same split.
    """

    def __init__(self, about: dict[str, Any], members: list[TrainedModel]) -> None:
        self._describe(about)
        self.members = members
        self._method = method(about["model"])

    @property
    def columns(self) -> int:
        """Number of columns of :meth:`raw`."""
        return int(self.about["columns"])

    def raw(
        self, features: NDArray[np.float32], frames: NDArray[np.int64], folds: NDArray[np.integer] | None = None
    ) -> NDArray[np.float64]:
        """Return what the method computes of each row, shape (folds, n, columns)."""
        self._check(features)
        folds = np.full(len(features), -1) if folds is None else folds
        return self._method.rows(self.members, features, frames, folds)

    def by_unit(
        self, raw: NDArray[np.float64], units: NDArray[np.integer], recordings: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return probabilities of units, not calibrated, shape (folds, units, classes)."""
        inputs = self._method.inputs(self.members, raw, units, recordings)
        entries = self.about["folds"]
        return np.stack([self._method.apply(e["combined"], x) for e, x in zip(entries, inputs, strict=True)])


def load_model(folder: Path) -> TrainedModel:
    """Load a trained model or a combination from its folder; raise as :meth:`TrainedModel.load` does."""
    about = read_json(folder / DESCRIPTION)
    if not isinstance(about, dict) or "members" not in about:
        return TrainedModel.load(folder)
    if about.get("format") != FORMAT:
        raise damaged(folder / DESCRIPTION, f"it is not a description of a model of format {FORMAT}")
    try:
        members = {name: folder / MEMBERS / Path(name).name for name in about["members"]}
        for name, place in members.items():
            if file_sha256(place / DESCRIPTION) != about["members"][name]:
                raise damaged(place / DESCRIPTION, "its checksum is not the one in the combination's model.json")
        return CombinedModel(about, [load_model(place) for place in members.values()])
    except FileNotFoundError as error:
        raise damaged(Path(str(error.filename)), "it does not exist") from error
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / DESCRIPTION, f"{type(error).__name__}: {error}") from error
