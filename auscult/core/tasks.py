"""Classification tasks: the unit, the classes, and the mapping of raw labels to classes.

The module of a data set declares its tasks, and ``validate`` writes them to ``tasks.json``. Later stages
read that file, so editing the URL or citation of a data set retrains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from auscult.core.errors import unknown_name

Unit = Literal["recording", "segment"]


@dataclass(frozen=True)
class Task:
    """One classification task of one data set.

    Attributes
    ----------
    name
        One of the roles ``binary``, ``multiclass``, ``abnormal`` and ``sounds``, or an additional
        task of the data set (``official_2_1``).
    unit
        What is labelled: a whole ``recording`` or an annotated ``segment``.
    classes
        Class names in the order of the outputs of the model.
    normal
        The class whose recall is the specificity; all other classes count as abnormal.
    mapping
        Raw label → class. Labels that are absent or map to ``None`` are excluded from the task.
    title
        Short description for the report.
    unscored
        Abnormal classes that the publisher's score leaves out, such as recordings of poor quality.
    """

    name: str
    unit: Unit
    classes: tuple[str, ...]
    normal: str
    mapping: Mapping[str, str | None]
    title: str = ""
    unscored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.normal not in self.classes:
            raise ValueError(f"task {self.name}: normal class {self.normal!r} is not among {self.classes}")
        stray = {c for c in self.mapping.values() if c is not None} - set(self.classes)
        if stray:
            raise ValueError(f"task {self.name}: mapping leads to unknown classes {sorted(stray)}")

    @property
    def normal_index(self) -> int:
        """Index of the normal class."""
        return self.classes.index(self.normal)

    def class_index(self, raw_label: str | None) -> int:
        """Return the index of the class of a raw label, −1 if the task excludes it."""
        target = self.mapping.get(raw_label) if raw_label is not None else None
        return -1 if target is None else self.classes.index(target)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for ``tasks.json`` and ``model.json``."""
        lists = {"classes": list(self.classes), "unscored": list(self.unscored)}
        return asdict(self) | lists | {"mapping": dict(self.mapping)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Return the task that :meth:`to_json` wrote."""
        return cls(**{**data, "classes": tuple(data["classes"]), "unscored": tuple(data.get("unscored", ()))})


def find_task(name: str, tasks: Iterable[Task], *, dataset: str, experiment: str) -> Task:
    """Return the task of that name; raise ``ParameterError`` if the data set does not have it."""
    by_name = {task.name: task for task in tasks}
    if name not in by_name:
        raise unknown_name(
            f"task for data set {dataset!r}:",
            name,
            by_name,
            where=f"params.yaml: experiments.{experiment}.task",
            next_step=f"choose one of these tasks or remove the experiment {experiment!r}",
        )
    return by_name[name]
