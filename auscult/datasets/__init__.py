"""Data sets, one module each, found by name.

A module ``<name>.py`` defines a subclass of :class:`Dataset` and ends with ``DATASET = <Subclass>()``; no other
registration is needed.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from auscult.core import named_files
from auscult.core.errors import unknown_name
from auscult.core.records import Recording, Segment
from auscult.core.sections import Params
from auscult.core.tasks import Task


@dataclass(frozen=True)
class RemoteFile:
    """A file to download from the publisher.

    Attributes
    ----------
    name
        Local file name.
    urls
        In order of preference: the publisher's, then mirrors.
    size_bytes, md5, sha256
        Verified if not ``None``.
    archive
        True for a zip file to unpack, False for a table.
    """

    name: str
    urls: tuple[str, ...]
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    archive: bool = True


@dataclass(frozen=True)
class Counts:
    """Numbers of recordings with audio, patients and segments in a complete copy."""

    recordings: int
    patients: int
    segments: int


class AnnotationError(Exception):
    """An annotation file is malformed; the text names the line and the reason."""

    #: Key of :data:`auscult.core.reject_reasons.REASONS`.
    reason: ClassVar[str] = "annotation_malformed"


class AnnotationMissingError(AnnotationError):
    """There is no annotation file, or it contains no segment although it should."""

    reason = "annotation_missing"


class UnknownLabelError(AnnotationError):
    """The label of a segment is unknown to the data set."""

    reason = "unknown_label"


class Dataset(ABC):
    """A data set: its origin, its readers and its tasks.

    The methods read the layout of the publisher. They never open audio, which only ``validate`` does.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    citation: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    files: ClassVar[tuple[RemoteFile, ...]] = ()
    #: Content of the publisher's files; None for a generated data set.
    expected: ClassVar[Counts | None] = None
    #: Smaller copies that are accepted as complete, such as the training part alone.
    expected_parts: ClassVar[tuple[Counts, ...]] = ()
    tasks: ClassVar[tuple[Task, ...]]
    #: Raw labels that may occur in segments and in recordings; any other one is unknown.
    segment_labels: ClassVar[frozenset[str]]
    recording_labels: ClassVar[frozenset[str]]
    #: Required columns of ``recordings.csv`` of an addition besides file and patient_id: see ``delivery_tables``.
    needed_columns: ClassVar[tuple[str, ...]] = ("label",)
    #: True if every recording must have annotated segments.
    annotated: ClassVar[bool] = True
    #: False if the publisher's annotations are unordered; they are then sorted, not rejected.
    annotations_sorted: ClassVar[bool] = True
    #: True if segments of a recording may overlap (events of several kinds, or several annotators).
    annotations_overlap: ClassVar[bool] = False
    #: Published times are rounded: segments may end this far after the audio or overlap this much.
    annotation_tolerance_s: ClassVar[float] = 0.01
    #: Known faults and limits of the data, as sentences for the data card. The card is tracked by git: no patient ids.
    limits: ClassVar[tuple[str, ...]] = ()

    def make(self, raw: Path, params: Params) -> None:
        """Write a generated data set into the empty folder *raw*; only generated data sets override it."""
        raise NotImplementedError(f"{self.name} is downloaded, not generated")

    @property
    def generated(self) -> bool:
        """Return whether this project generates the data set."""
        return type(self).make is not Dataset.make

    @abstractmethod
    def layout(self, source: Path) -> dict[str, Path]:
        """Return the files of a copy: path in the raw folder → file in *source*.

        *source* is an unpacked archive or a user's folder, in any layout that copies of the data set have.

        Raises
        ------
        DataError
            If the folder is not a copy of this data set; the message names what was expected.
        """

    @abstractmethod
    def recordings(self, raw: Path) -> list[Recording]:
        """Return every recording that files or labels name, sorted by ``recording_id``.

        Metadata that is required but not there is listed in ``Recording.missing``.
        """

    @abstractmethod
    def segments(self, raw: Path, recording: Recording) -> Sequence[Segment]:
        """Return the annotated segments of a recording, in the order of the file, unchecked.

        Raises
        ------
        AnnotationError
            If the annotation is missing or malformed.
        """

    @abstractmethod
    def patient_of(self, name: str) -> str | None:
        """Return the patient of a file of the raw folder; ``None`` for a table or a name without a patient.

        *name* is the path in the raw folder or a recording id. If a patient withdraws, the files of that patient are
        removed, so this must know every file that :meth:`layout` returns except tables.
        """

    def is_table(self, place: str) -> bool:
        """Return whether a file, given by its path in the raw folder, is a table with lines of several patients."""
        return False

    def patient_of_line(self, place: str, line: str) -> str | None:
        """Return the patient of a line of a table; ``None`` for a header or an empty line."""
        return None


def names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def load(name: str) -> Dataset:
    """Return the data set of that name; raise an :class:`AuscultError` if there is none or its file lacks it."""
    if name not in names():
        raise unknown_name("data set", name, names(), where="params.yaml: dataset", next_step="name one of these")
    named_files.check(Path(__file__).with_name(f"{name}.py"), ("DATASET",), "Checklist: a data set")
    dataset: Dataset = importlib.import_module(f"{__name__}.{name}").DATASET
    return dataset
