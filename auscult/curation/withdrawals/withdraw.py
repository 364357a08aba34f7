"""``python -m auscult.cli data withdraw PATIENT``: a patient's consent is withdrawn; nothing is cleared yet."""

from __future__ import annotations

import difflib
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.errors import DataError, ParameterError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.batch import locked, replaced
from auscult.curation.withdrawals import learned
from auscult.curation.withdrawals.patient_lookup import patients
from auscult.datasets import Dataset, load
from auscult.splitting import pinned
from auscult.splitting.pinned import Pinned
from auscult.validation.additions import batches
from auscult.versioning.commands import CommandError

if TYPE_CHECKING:
    import pandas as pd

    from auscult.core.sections import Params


@dataclass(frozen=True)
class Affected:
    """What a withdrawal touches, in words for the person who asked."""

    recordings: int
    segments: int
    parts: str
    batches: int
    workspace: list[str]
    registered: list[learned.Registered]

    def lines(self) -> list[str]:
        """For the terminal."""
        models = ", ".join(self.workspace) or "none"
        versions = ", ".join(map(str, self.registered)) or "none"
        return [
            f"In the data: {self.recordings} recordings, {self.segments} segments ({self.parts});"
            f" additions to be written anew without them: {self.batches}",
            f"Models that learned from this patient: {models}",
            f"Registered versions that did: {versions}",
        ]


def withdraw(patient: str, since: str | None = None, *, dry_run: bool = False, root: Path = Path()) -> str:
    """Add a patient to the table, write down where the others stand, and take them out of the additions.

    Doing it again, also after a kill, ends in the same state.

    Parameters
    ----------
    patient
        The id, as the data set's file names have it.
    since
        Date (ISO 8601) of the withdrawal; today where it is ``None``.

    Returns
    -------
    str
        What was found and done, and what to run next.

    Raises
    ------
    DataError
        The data set knows no such patient, or nothing of the data set is here.
    ParameterError
        The date is none.
    """
    params = parameters.load(root / parameters.FILE)
    dataset, table = load(params.dataset), withdrawals.read(params.dataset, root)
    key = patient_key(dataset.name, patient)
    if key not in table.since:
        _check_known(dataset, patient, root)
    after = replace(table, since=dict(table.since) | {key: table.since.get(key, _day(since))})
    found = _affected(dataset, patient, key, after, root)
    if dry_run:
        return "\n".join(
            [f"Patient {patient} of {dataset.name} would be withdrawn", *found.lines(), "Nothing was changed"]
        )
    pins = _pins(dataset, params, after, root)
    if pins is not None:  # first: when the table is written, the sides are safe
        pinned.write(pins, root)
    if key not in table.since:
        withdrawals.write(after, root)
    _rewrite_additions(dataset, after, root)
    first = f"Patient {patient} of {dataset.name} has withdrawn since {after.since[key]}"
    return "\n".join([first, *found.lines(), "", *_next(found)])


def _day(since: str | None) -> str:
    if since is None:
        return date.today().isoformat()
    try:
        return date.fromisoformat(since).isoformat()
    except ValueError as error:
        raise ParameterError(f"{since!r} is no date", where="--since", next_step="write it as 2026-11-25") from error


def _check_known(dataset: Dataset, patient: str, root: Path) -> None:
    """Refuse an id that no version has: of others only the nearest is named, as it may be meant."""
    paths = Paths(dataset.name)
    folders = [folder for folder in (root / paths.raw, *batches(root / paths.added)) if folder.is_dir()]
    known = set().union(*(patients(dataset, folder) for folder in folders))
    if patient in known or patient in _elsewhere(dataset, root):
        return
    if not known:
        raise DataError(
            f"nothing of the data set {dataset.name} is here",
            where=str(paths.raw),
            next_step="dvc pull (or dvc repro), then the same command again",
        )
    close = difflib.get_close_matches(patient, sorted(known), n=1, cutoff=0.7)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise DataError(
        f"the data set {dataset.name} has no patient {patient!r}{hint}",
        where=f"{paths.raw}, {paths.added}",
        next_step="name the patient as the recordings' file names, or the tables of an addition, do;"
        " params.yaml says which data set is meant",
    )


def _elsewhere(dataset: Dataset, root: Path) -> set[str]:
    """Patients of versions that do not lie here: of an ingestion's branch, or of before an addition was taken back."""
    from dvc.repo import Repo

    from auscult.curation.withdrawals import history, patient_index, plan
    from auscult.curation.withdrawals.objects import Store

    with suppress(CommandError):  # no git repository, and so no versions
        versions = history.versions(root)
        with Repo(str(root)) as repo:
            reached, _ = plan.reach(repo, root, list(repo.config["remote"]))
            return patient_index.everybody(Store(repo.cache.local, reached.values()), versions, dataset)
    return set()


def _affected(dataset: Dataset, patient: str, key: str, after: Withdrawals, root: Path) -> Affected:
    """What the manifest, the additions, the models and the registry say of this patient."""
    paths = Paths(dataset.name)
    recordings = segments = 0
    parts = "in no part"
    assignment = root / paths.split / "assignment.parquet"
    if (root / paths.manifest / "recordings.parquet").exists():
        recordings, segments = (
            int((read_table(root / paths.manifest / f"{name}.parquet")["patient_id"] == patient).sum())
            for name in ("recordings", "segments")
        )
    if assignment.exists():
        table = read_table(assignment)
        own = sorted(set(table.loc[table["patient_id"] == patient, "part"]))
        parts = f"part {', '.join(own)}" if own else parts
    return Affected(
        recordings,
        segments,
        parts,
        sum(after.any_of(patients(dataset, folder)) for folder in batches(root / paths.added)),
        learned.in_workspace(dataset.name, {key}, root),
        learned.registered(dataset.name, {key}, root),
    )


def _pins(dataset: Dataset, params: Params, after: Withdrawals, root: Path) -> Pinned | None:
    """Everybody else's side as it is now.

    ``None`` where nothing was drawn yet, or where the download is without them already: who came with additions only
    moves nobody. One who was only set aside counts: without their copy somebody else's recording may be accepted.
    """
    from auscult.splitting.parts import split

    folder = root / Paths(after.dataset).manifest
    raw = root / Paths(after.dataset).raw
    if not after.any_of(patients(dataset, raw)):
        return None
    if not (folder / "recordings.parquet").exists():
        if not (root / Paths(after.dataset).version).exists():
            return None
        raise DataError(
            "where everybody else stands cannot be written down, and without them the next draw would move people:"
            " the manifest is not here",
            where=str(folder),
            next_step="dvc checkout (dvc pull, or make repro), then the same command again",
        )
    recordings = read_table(folder / "recordings.parquet")
    downloaded = recordings[recordings["batch"].isna()]
    tasks = [Task.from_json(entry) for entry in read_json(folder / "tasks.json")]
    now = pinned.read(after.dataset, root)
    result = split(downloaded, _of(downloaded, folder), tasks, params.split, now)
    return pinned.pin(result.assignment, params.split, after, with_test=result.test_from == "drawn")


def _of(recordings: pd.DataFrame, folder: Path) -> pd.DataFrame:
    segments = read_table(folder / "segments.parquet")
    return segments[segments["recording_id"].isin(recordings["recording_id"])]


def _rewrite_additions(dataset: Dataset, after: Withdrawals, root: Path) -> None:
    """Each addition that holds somebody who has withdrawn becomes another one without them, or none."""
    with locked(root):
        for folder in batches(root / Paths(dataset.name).added):
            if after.any_of(patients(dataset, folder)):
                replaced(dataset, folder, after, root)
        for left in (root / Paths(dataset.name).added).glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)


def _next(found: Affected) -> list[str]:
    steps = [
        "git add data/withdrawn data/added && git commit -m 'data: a withdrawal'",
        "make repro   (or dvc repro), then git add dvc.lock data reports && git commit, and dvc push",
    ]
    if serving := [each for each in found.registered if each.champion]:
        names = ", ".join(each.experiment for each in serving)
        steps.append(
            f"a model in service learned from this patient ({names}): python -m auscult.cli retrain, or put the new one into"
            " service: python -m auscult.cli promote EXPERIMENT --version N --because 'a withdrawal'"
        )
    steps.append(
        "python -m auscult.cli data clear --dry-run, and without --dry-run: what older versions and caches hold"
    )
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))]
