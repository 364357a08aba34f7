"""A version of a data set: its tables, from the outputs in a folder or from those that a revision records.

Of a revision only the tables are read, from DVC's cache or else from its remote. Nothing is checked out or written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core import params as parameters
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS
from auscult.core.tasks import Task
from auscult.curation.lineage.recorded import Storage, dataset_at, recorded_outs
from auscult.reporting.data_card.identity import content_sha256, split_sha256, version_name
from auscult.versioning.lockfile import LOCK
from auscult.versioning.worktree import resolve

if TYPE_CHECKING:
    import pandas as pd

#: How the outputs of a folder are called where a revision's are called by its name.
WORKSPACE = "workspace"


@dataclass(frozen=True)
class DataVersion:
    """The tables of a data set at one time.

    Attributes
    ----------
    dataset
        Its name.
    revision
        As the user named it; :data:`WORKSPACE` for the outputs in a folder.
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
        """Digest of what the accepted recordings say."""
        return content_sha256(self.recordings, self.segments)

    @cached_property
    def split_sha256(self) -> str:
        """Digest of the parts and folds."""
        return split_sha256(self.assignment)

    @property
    def name(self) -> str:
        """Such as ``sample-0123abcd``."""
        return version_name(self.dataset, self.content_sha256)


def at_folder(place: Path) -> DataVersion:
    """The outputs that lie in a checkout or worktree, of the data set that its ``params.yaml`` names.

    Raises
    ------
    DataError
        One of the tables is not there.
    ParameterError
        ``params.yaml`` is wrong.
    """
    dataset = parameters.load(place / parameters.FILE, earlier_layout=True).dataset

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
    """The outputs that a revision's ``dvc.lock`` records, of the data set that its ``params.yaml`` names.

    Raises
    ------
    AuscultError
        There is no such revision, or no pipeline in it.
    DataError
        It was never reproduced, or its tables are neither in DVC's cache nor in the remote.
    """
    commit = resolve(root, revision)
    dataset = dataset_at(root, commit, revision)
    outs = recorded_outs(root, commit, revision)
    if not any(Path(out).is_relative_to(Paths(dataset).manifest) for out in outs):
        others = sorted({Path(out).parts[1] for out in outs if Path(out).match("data/*/manifest/*")})
        raise DataError(
            f"{revision} names the data set {dataset} in {parameters.FILE}, but was reproduced "
            + (f"with {', '.join(others)} only" if others else "never"),
            where=f"{revision}:{LOCK}",
            next_step="compare a revision whose dvc.lock was committed after a run of this data set",
        )
    with Storage(root, revision, outs) as storage:
        return _read(dataset, revision, storage.read)


def _read(dataset: str, revision: str, read: Callable[[Path], bytes]) -> DataVersion:
    """The version whose files *read* gives."""
    import pandas as pd

    paths = Paths(dataset)

    def table(path: Path, columns: Mapping[str, object]) -> pd.DataFrame:
        import pyarrow as pa

        try:
            found = pd.read_parquet(io.BytesIO(read(path)))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path} of {revision} is no readable table: {error}", where=revision, next_step="dvc repro describe"
            ) from error
        return found.reindex(columns=list(columns))  # an older version has fewer: nothing is said there

    return DataVersion(
        dataset=dataset,
        revision=revision,
        recordings=table(paths.manifest / "recordings.parquet", RECORDING_COLUMNS),
        segments=table(paths.manifest / "segments.parquet", SEGMENT_COLUMNS),
        rejects=table(paths.manifest / "rejects.parquet", REJECT_COLUMNS),
        assignment=table(paths.split / "assignment.parquet", ASSIGNMENT_COLUMNS),
        tasks=tuple(Task.from_json(entry) for entry in json.loads(read(paths.manifest / "tasks.json"))),
    )
