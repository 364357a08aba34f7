"""Baselines that were fitted before, on disk outside DVC's outputs.

Experiments of one task on the same features have the same baselines, whatever their models, and so have base and head
of a comparison. The key covers everything that determines the predictions: units, statistics, code and libraries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from auscult.core.digests import code_digest, digest
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import replacing_file
from auscult.evaluation.baselines import CATEGORIES, NUMBERS, TITLES, BaselinePredictions, Units

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Modules that determine the predictions of the baselines.
CODE = ("auscult.evaluation.baselines", "auscult.training.calibration", "auscult.training.score")
FOLDER = CACHE_DIR / "baselines"


def finished(
    units: Units,
    table: pd.DataFrame,
    statistics: NDArray[np.float32],
    fit: Callable[[], Mapping[str, BaselinePredictions]],
) -> dict[str, BaselinePredictions]:
    """Return the predictions of every baseline: those of an earlier evaluation, else those of *fit*, which are kept.

    Parameters
    ----------
    units
        n units.
    table
        Metadata of the same units.
    statistics
        Shape (n, columns).
    """
    libraries = {name: version(name) for name in ("numpy", "pandas", "scikit-learn", "scipy")}
    metadata = table[[*CATEGORIES, *NUMBERS]].to_csv(index=False, float_format="%.17g")
    data = (_sha256(each) for each in (metadata.encode(), units.y, units.fold, np.ascontiguousarray(statistics)))
    key = digest(units.task.to_json(), *data, statistics.shape, code_digest(*CODE), libraries)
    file = FOLDER / f"{key}.safetensors"
    if found := _read(file):
        return found
    fitted = dict(fit())
    arrays = {
        f"{name}.{what}": np.ascontiguousarray(getattr(each, what))
        for name, each in fitted.items()
        for what in ("probabilities", "predicted")
    }
    with replacing_file(file) as scratch:
        scratch.write_bytes(save(arrays))
    return fitted


def _read(file: Path) -> dict[str, BaselinePredictions]:
    """Return the predictions in a file; none if there is no such file, or it is damaged."""
    try:
        arrays = load(file.read_bytes())
        return {  # the file does not keep an order
            name: BaselinePredictions(arrays[f"{name}.probabilities"], arrays[f"{name}.predicted"])
            for name in TITLES
            if f"{name}.predicted" in arrays
        }
    except (FileNotFoundError, SafetensorError, KeyError):
        return {}


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
