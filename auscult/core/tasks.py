"""What is predicted: the unit, the classes, and how raw labels map to them.

A data set's file declares its tasks; ``validate`` writes them beside the manifest
(``tasks.json``), and the later stages read that file, so that an edit of a data
set's address or citation retrains nothing.
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
        The role (``binary``, ``multiclass``, ``abnormal``, ``sounds``) or a further
        entry of the data set (``official_2_1``).
    unit
        What carries the label: a whole ``recording``, or an annotated ``segment``.
    classes
        Class names in the order of the model's outputs.
    normal
        The class whose recall is the specificity; all others count as abnormal.
    mapping
        Raw label → class. A raw label that maps to ``None`` or is absent is left
        out of this task.
    title
        A few words for the report.
    """

    name: str
    unit: Unit
    classes: tuple[str, ...]
    normal: str
    mapping: Mapping[str, str | None]
    title: str = ""

    def __post_init__(self) -> None:
        if self.normal not in self.classes:
            raise ValueError(f"task {self.name}: normal class {self.normal!r} is not among {self.classes}")
        stray = {c for c in self.mapping.values() if c is not None} - set(self.classes)
        if stray:
            raise ValueError(f"task {self.name}: mapping leads to unknown classes {sorted(stray)}")

    @property
    def normal_index(self) -> int:
        """Position of the normal class among the outputs."""
        return self.classes.index(self.normal)

    def class_index(self, raw_label: str | None) -> int:
        """Index of the class of a raw label, −1 where the task leaves it out."""
        target = self.mapping.get(raw_label) if raw_label is not None else None
        return -1 if target is None else self.classes.index(target)

    def to_json(self) -> dict[str, Any]:
        """Plain data, for ``tasks.json`` and ``model.json``."""
        return asdict(self) | {"classes": list(self.classes), "mapping": dict(self.mapping)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """The inverse of :meth:`to_json`."""
        return cls(**{**data, "classes": tuple(data["classes"])})


def find_task(name: str, tasks: Iterable[Task], *, dataset: str, experiment: str) -> Task:
    """The task of that name among those a data set serves.

    Raises
    ------
    ParameterError
        The data set has no such task; the message names those that it has.
    """
    by_name = {task.name: task for task in tasks}
    if name not in by_name:
        raise unknown_name(
            f"task for data set {dataset!r}:",
            name,
            by_name,
            where=f"params.yaml: experiments.{experiment}.task",
            next_step=f"choose one of these tasks, or remove the experiment {experiment!r}",
        )
    return by_name[name]
