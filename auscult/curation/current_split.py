"""The split as it is now, to be fixed before the data change: a change of labels or patients would draw it anew."""

from __future__ import annotations

from pathlib import Path

from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task
from auscult.core.withdrawals import Withdrawals
from auscult.splitting import pinned
from auscult.splitting.parts import split
from auscult.splitting.pinned import Pinned


def current_folds(params: Params, withdrawn: Withdrawals, root: Path) -> Pinned:
    """Return the folds of the patients in the manifest of the data set as downloaded, without withdrawn ones."""
    folder = root / Paths(withdrawn.dataset).manifest
    recordings, segments = (read_table(folder / f"{name}.parquet") for name in ("recordings", "segments"))
    downloaded = recordings[recordings["batch"].isna()]
    segments = segments[segments["recording_id"].isin(downloaded["recording_id"])]
    tasks = [Task.from_json(entry) for entry in read_json(folder / "tasks.json")]
    result = split(downloaded, segments, tasks, params.split, pinned.read(withdrawn.dataset, root))
    return pinned.pin(result.assignment, params.split, withdrawn, with_test=result.test_from != "publisher")
