"""A version of a data set: its tables, from the outputs in a folder or from those that a revision records.

The tables of a revision are read from DVC's cache or else from its remote; nothing is checked out or written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from auscult.core import params as parameters
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS
from auscult.core.tasks import Task
from auscult.reporting.data_card.identity import content_sha256, split_sha256, version_name
from auscult.versioning.commands import git_bytes
from auscult.versioning.dvc_objects import RevisionOutputs
from auscult.versioning.lockfile import LOCK, DamagedError, parse
from auscult.versioning.worktree import resolve

#: Stands in messages for the name of a revision, for the outputs in a folder.
WORKSPACE = "workspace"
_OTHER_REVISION = "compare another revision"


@dataclass(frozen=True)
class DataVersion:
    """The tables of one version of a data set.

    Attributes
    ----------
    dataset
        Name of the data set.
    revision
        Name that the user gave; :data:`WORKSPACE` for the outputs in a folder.
    recordings, segments, rejects, assignment
        Columns as in :mod:`auscult.core.records`.
    tasks
        What is predicted.
    """

    dataset: str
    revision: str
    recordings: pd.DataFrame
    segments: pd.DataFrame
    rejects: pd.DataFrame
    assignment: pd.DataFrame
    tasks: tuple[Task, ...]

    @cached_property
    def content_sha256(self) -> str:
        """Digest of the content of the accepted recordings."""
        return content_sha256(self.recordings, self.segments)

    @cached_property
    def split_sha256(self) -> str:
        """Digest of the parts and folds."""
        return split_sha256(self.assignment)

    @property
    def name(self) -> str:
        """Name of the version, such as ``sample-0123abcd``."""
        return version_name(self.dataset, self.content_sha256)


def at_folder(place: Path) -> DataVersion:
    """Read the outputs in a checkout or worktree, of the data set that its ``params.yaml`` names.

    Raises
    ------
    DataError
        One of the tables is missing.
    ParameterError
        ``params.yaml`` is wrong.
    """
    dataset, *_ = parameters.of_any_revision(place / parameters.FILE)

    def read(path: Path) -> bytes:
        try:
            return (place / path).read_bytes()
        except OSError as error:
            raise DataError(
                f"{path} is not in the workspace: {error.strerror}",
                where=str(place),
                next_step="dvc checkout (dvc pull, where another made it) or dvc repro describe",
            ) from error

    return _read(dataset, WORKSPACE, read)


def at_revision(root: Path, revision: str) -> DataVersion:
    """Read the outputs that a revision's ``dvc.lock`` records, of the data set that its ``params.yaml`` names.

    Raises
    ------
    AuscultError
        There is no such revision, or no pipeline in it.
    DataError
        It was never reproduced, or its tables are neither in DVC's cache nor in the remote.
    """
    commit = resolve(root, revision)
    dataset = _dataset_at(root, commit, revision)
    with RevisionOutputs(root, commit, revision) as outputs:
        if not any(Path(out).is_relative_to(Paths(dataset).manifest) for out in outputs.outs):
            others = sorted({Path(out).parts[1] for out in outputs.outs if Path(out).match("data/*/manifest/*")})
            raise DataError(
                f"{revision} names the data set {dataset} in {parameters.FILE}, but was reproduced "
                + (f"with {', '.join(others)} only" if others else "never"),
                where=f"{revision}:{LOCK}",
                next_step="compare a revision whose dvc.lock was committed after a run of this data set",
            )
        return _read(dataset, revision, outputs.read)


def _dataset_at(root: Path, commit: str, revision: str) -> str:
    """Return the data set that a commit's ``params.yaml`` names."""
    where = f"{revision}:{parameters.FILE}"
    text = git_bytes(root, "show", f"{commit}:./{parameters.FILE}")
    if not text:
        raise AuscultError(
            f"{revision} has no {parameters.FILE}: it is older than the pipeline",
            where=where,
            next_step="compare a later revision",
        )
    try:
        content = parse(text)
    except DamagedError as error:
        raise DataError(f"{where} is damaged: {error}", where=where, next_step=_OTHER_REVISION) from error
    name = content.get("dataset") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise AuscultError(f"{parameters.FILE} of {revision} names no data set", where=where, next_step=_OTHER_REVISION)
    return name


#: What earlier versions divide the development part into.
EARLIER_PARTS = ("train", "validation")


def _read(dataset: str, revision: str, read: Callable[[Path], bytes]) -> DataVersion:
    """Return the version whose files *read* returns."""
    paths = Paths(dataset)

    def table(path: Path, columns: Mapping[str, object]) -> pd.DataFrame:
        try:
            found = pd.read_parquet(io.BytesIO(read(path)))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path} of {revision} is not a readable table: {error}", where=revision, next_step="dvc repro describe"
            ) from error
        return found.reindex(columns=list(columns))  # an older version has fewer columns: the others are empty

    return DataVersion(
        dataset=dataset,
        revision=revision,
        recordings=table(paths.manifest / "recordings.parquet", RECORDING_COLUMNS),
        segments=table(paths.manifest / "segments.parquet", SEGMENT_COLUMNS),
        rejects=table(paths.manifest / "rejects.parquet", REJECT_COLUMNS),
        assignment=table(paths.split / "assignment.parquet", ASSIGNMENT_COLUMNS).replace(
            {"part": dict.fromkeys(EARLIER_PARTS, "development")}
        ),
        tasks=tuple(Task.from_json(entry) for entry in json.loads(read(paths.manifest / "tasks.json"))),
    )
