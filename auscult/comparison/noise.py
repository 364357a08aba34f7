"""How much each figure moves when nothing but the seed of a training changes, as measured beforehand.

The table is made by ``python -m auscult.comparison.seed_variance`` and lies in git, a section per data set. A network
that is trained again, on another processor or with a harmless change, moves as it does with another seed; a
resampling of patients sees nothing of that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from auscult.core.errors import DataError

FILE = Path("benchmarks/retraining.json")
Kind = Literal["same model", "measured", "pooled", "not measured"]
#: Part → figure → standard deviation over retrainings.
Spread = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Noise:
    """What one experiment's figures do by themselves.

    Attributes
    ----------
    kind
        Where the figures come from.
    spread
        Empty where nothing is known, or where both sides have the same model.
    """

    kind: Kind
    spread: Spread

    def of(self, part: str, figure: str) -> float | None:
        """Standard deviation of a figure over retrainings; 0 where none is added, ``None`` where it is not known."""
        if not self.spread:
            return 0.0
        return self.spread.get(part, {}).get(figure)


SAME_MODEL = Noise("same model", {})
NOT_MEASURED = Noise("not measured", {})


def load(root: Path, dataset: str) -> dict[str, Noise]:
    """The measured noise of a data set's experiments; under the empty name what they have in common, if anything.

    Raises
    ------
    DataError
        The table is damaged.
    """
    if not (root / FILE).exists():
        return {}
    try:
        section = json.loads((root / FILE).read_text(encoding="utf-8"))["datasets"].get(dataset)
        return {} if section is None else _of_section(section)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"it is no table of retraining noise ({type(error).__name__}: {error})",
            where=str(FILE),
            next_step="git checkout main -- benchmarks/retraining.json, or measure again: auscult.comparison.seed_variance",
        ) from error


def _of_section(section: Any) -> dict[str, Noise]:
    pooled = {part: _checked(section["pooled"][part]) for part in ("validation", "test")}
    own = {
        name: {part: {**pooled[part], **_checked(spread.get(part, {}))} for part in pooled}
        for name, spread in section["experiments"].items()
    }
    return {name: Noise("measured", spread) for name, spread in own.items()} | {"": Noise("pooled", pooled)}


def _checked(spread: Any) -> dict[str, float]:
    made = {str(name): float(value) for name, value in spread.items()}
    if wrong := [name for name, value in made.items() if not 0.0 <= value < math.inf]:
        raise ValueError(f"{wrong[0]} is no standard deviation")
    return made


def find(table: Mapping[str, Noise], experiment: str) -> Noise:
    """The noise of one experiment: its own, the data set's, or none known."""
    return table.get(experiment) or table.get("") or NOT_MEASURED
