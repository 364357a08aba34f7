"""How much each figure moves when nothing but the seed of a training changes, as measured beforehand.

The table is made by ``python -m flows.compare.rehearse`` and lies in git, a section per data set. A network
that is trained again, on another processor or with a harmless change, moves as it does with another seed; a
resampling of patients sees nothing of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.store import read_json

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
    """The measured noise of a data set's experiments; under the empty name what they have in common, if anything."""
    if not (root / FILE).exists():
        return {}
    section = read_json(root / FILE).get("datasets", {}).get(dataset)
    if section is None:
        return {}
    pooled: Spread = section["pooled"]
    own = {
        name: {part: {**pooled[part], **spread.get(part, {})} for part in pooled}
        for name, spread in section["experiments"].items()
    }
    return {name: Noise("measured", spread) for name, spread in own.items()} | {"": Noise("pooled", pooled)}


def find(table: Mapping[str, Noise], experiment: str) -> Noise:
    """The noise of one experiment: its own, the data set's, or none known."""
    return table.get(experiment) or table.get("") or NOT_MEASURED
