"""Data sets, one file each, found by name.

A file ``<name>.py`` defines one subclass of :class:`Dataset` and names it
``DATASET = <Subclass>()`` at its end. Nothing else registers it.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from auscult.core.errors import unknown_name
from auscult.core.records import Recording, Segment
from auscult.core.sections import Params
from auscult.core.tasks import Task


@dataclass(frozen=True)
class RemoteFile:
    """A file that the publisher serves.

    Attributes
    ----------
    name
        File name to keep it under.
    urls
        Addresses in order of preference: the publisher's, then mirrors.
    size_bytes, md5, sha256
        What to verify; ``None`` where the publisher states none.
    archive
        True when it is to be unpacked, False when it is a table to lie beside the rest.
    """

    name: str
    urls: tuple[str, ...]
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    archive: bool = True


@dataclass(frozen=True)
class Counts:
    """What a complete copy holds."""

    recordings: int
    patients: int
    segments: int


class AnnotationError(Exception):
    """An annotation file cannot be read; the text says which line and why."""

    #: Of :data:`auscult.core.reject_reasons.REASONS`.
    reason: ClassVar[str] = "annotation_malformed"


class AnnotationMissingError(AnnotationError):
    """There is no annotation file, or it names no segment where there should be some."""

    reason = "annotation_missing"


class UnknownLabelError(AnnotationError):
    """A segment's label is none of the data set's."""

    reason = "unknown_label"


class Dataset(ABC):
    """One data set: where it comes from, how it is read, what each task means.

    Class attributes state the facts; the methods read the publisher's layout. A data
    set never opens audio: that is the work of ``validate``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    citation: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    files: ClassVar[tuple[RemoteFile, ...]] = ()
    #: What the publisher's own files hold; None where the data set is generated.
    expected: ClassVar[Counts | None] = None
    #: Smaller copies that are complete in themselves, such as the training part alone.
    expected_parts: ClassVar[tuple[Counts, ...]] = ()
    tasks: ClassVar[tuple[Task, ...]]
    #: Raw labels that may occur in segments and in recordings; anything else is an unknown label.
    segment_labels: ClassVar[frozenset[str]]
    recording_labels: ClassVar[frozenset[str]]
    #: Columns that ``recordings.csv`` of an addition needs besides file and patient_id: see ``_tables.py``.
    needed_columns: ClassVar[tuple[str, ...]] = ("label",)
    #: True when every recording is expected to have annotated segments.
    annotated: ClassVar[bool] = True
    #: False when the publisher's annotations come in no order; they are then sorted on reading, not rejected.
    annotations_sorted: ClassVar[bool] = True
    #: True when segments of one recording may overlap (events of several kinds, or several annotators).
    annotations_overlap: ClassVar[bool] = False
    #: Published times are rounded: up to this far beyond the audio's end, or into the next segment, is no fault.
    annotation_tolerance_s: ClassVar[float] = 0.01
    #: What is known to be wrong with the data, or must be minded when reading figures: sentences for the card, which
    #: git keeps, and so without anybody's number.
    limits: ClassVar[tuple[str, ...]] = ()

    def make(self, raw: Path, params: Params) -> None:
        """Write a generated data set into the empty folder *raw*; only generated ones define it."""
        raise NotImplementedError(f"{self.name} is downloaded, not made")

    @property
    def generated(self) -> bool:
        """Whether the project makes this data set itself."""
        return type(self).make is not Dataset.make

    @abstractmethod
    def layout(self, source: Path) -> dict[str, Path]:
        """The files of a copy: path inside the raw folder → the file in *source*.

        *source* is an unpacked archive or a user's folder, in any of the layouts
        that copies of this data set have; the raw folder gets one layout. Raises
        ``DataError`` naming what was looked for when the folder is not this data set.
        """

    @abstractmethod
    def recordings(self, raw: Path) -> list[Recording]:
        """Every recording that files or labels name, sorted by ``recording_id``.

        Metadata that should be there and is not goes into ``Recording.missing``.
        """

    @abstractmethod
    def segments(self, raw: Path, recording: Recording) -> Sequence[Segment]:
        """The annotated segments of one recording in the order of the file, unchecked.

        Raises
        ------
        AnnotationError
            The annotation is missing or malformed.
        """

    @abstractmethod
    def patient_of(self, name: str) -> str | None:
        """Whose a file of the raw folder is; ``None`` for a table, and for a name that tells nobody.

        *name* is the place in the raw folder, or a recording's id. When a patient withdraws, the files go for which
        this is that patient; so it knows every file that :meth:`layout` lays out but the tables.
        """

    def is_table(self, place: str) -> bool:
        """Whether the file at this place in the raw folder has lines of several patients."""
        return False

    def patient_of_line(self, place: str, line: str) -> str | None:
        """Whose a line of a table is; ``None`` for a header or an empty line."""
        return None


def names() -> list[str]:
    """Names of the data sets that have a file here."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def load(name: str) -> Dataset:
    """The data set of that name.

    Raises
    ------
    ParameterError
        There is no such file; the message names those that there are.
    """
    if name not in names():
        raise unknown_name("data set", name, names(), where="params.yaml: dataset", next_step="name one of these")
    dataset: Dataset = importlib.import_module(f"{__name__}.{name}").DATASET
    return dataset


def task_names(tasks: Iterable[Task]) -> list[str]:
    """Names of tasks, in their order."""
    return [task.name for task in tasks]
