"""``auscult data withdraw PATIENT``: leave a patient out of the data from now on; nothing is purged yet."""

from __future__ import annotations

import difflib
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.errors import DataError, ParameterError
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.batch import locked, rewrite
from auscult.curation.withdrawals import learned_models
from auscult.curation.withdrawals.patient_lookup import in_folder, in_versions
from auscult.datasets import Dataset, load
from auscult.splitting import pinned
from auscult.splitting.parts import split
from auscult.splitting.pinned import Pinned
from auscult.validation.additions import batches
from auscult.versioning import history
from auscult.versioning.commands import CommandError
from auscult.versioning.dvc_internals import Repository
from auscult.versioning.dvc_objects import ObjectReader, reachable_remotes


@dataclass(frozen=True)
class Affected:
    """What a withdrawal affects."""

    recordings: int
    segments: int
    parts: str
    batches: int
    workspace: list[str]
    registered: list[learned_models.Registered]

    def lines(self) -> list[str]:
        """Return lines for the terminal."""
        models = ", ".join(self.workspace) or "none"
        versions = ", ".join(map(str, self.registered)) or "none"
        return [
            f"In the data: {self.recordings} recordings, {self.segments} segments ({self.parts});"
            f" additions to be written again without them: {self.batches}",
            f"Models that learned from this patient: {models}",
            f"Registered versions that learned from this patient: {versions}",
        ]


def withdraw(patient: str, since: str | None = None, *, dry_run: bool = False, root: Path = Path()) -> str:
    """Add a patient to the table of withdrawals, record the others' split assignment, and rewrite the additions.

    A second call, also after a kill, ends in the same state.

    Parameters
    ----------
    patient
        Patient id, as in the data set's file names.
    since
        Date (ISO 8601) of the withdrawal; by default today.

    Returns
    -------
    str
        What was found and done, and the next commands.

    Raises
    ------
    DataError
        The data set has no such patient, or none of its data are in the workspace.
    ParameterError
        *since* is not a date.
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
    if pins is not None:  # first: once the table is written, the assignment must be recorded
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
        raise ParameterError(f"{since!r} is not a date", where="--since", next_step="write it as 2026-11-25") from error


def _check_known(dataset: Dataset, patient: str, root: Path) -> None:
    """Raise a :class:`DataError` if no version has this patient; the message names the closest id only."""
    paths = Paths(dataset.name)
    folders = [folder for folder in (root / paths.raw, *batches(root / paths.added)) if folder.is_dir()]
    known = set().union(*(in_folder(dataset, folder) for folder in folders))
    if patient in known or patient in _in_history(dataset, root):
        return
    if not known:
        raise DataError(
            f"the workspace has no data of the data set {dataset.name}",
            where=str(paths.raw),
            next_step="dvc pull (or dvc repro), then the same command again",
        )
    close = difflib.get_close_matches(patient, sorted(known), n=1, cutoff=0.7)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise DataError(
        f"the data set {dataset.name} has no patient {patient!r}{hint}",
        where=f"{paths.raw}, {paths.added}",
        next_step="write the id as in the file names of the recordings, or the tables of an addition;"
        " params.yaml names the data set",
    )


def _in_history(dataset: Dataset, root: Path) -> set[str]:
    """Return the patients of all versions: one may be on another branch, or in an addition that was removed again."""
    with suppress(CommandError):  # not a git repository, and so no versions
        versions = history.versions(root)
        with Repository(root) as repository:
            reached, _ = reachable_remotes(repository, root, repository.remotes)
            return in_versions(ObjectReader([repository.cache, *reached.values()]), versions, dataset)
    return set()


def _affected(dataset: Dataset, patient: str, key: str, after: Withdrawals, root: Path) -> Affected:
    """Look the patient up in the manifest, the additions, the models and the registry."""
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
        sum(after.any_of(in_folder(dataset, folder)) for folder in batches(root / paths.added)),
        learned_models.in_workspace(dataset.name, {key}, root),
        learned_models.registered(dataset.name, {key}, root),
    )


def _pins(dataset: Dataset, params: Params, after: Withdrawals, root: Path) -> Pinned | None:
    """Return the present split assignment of all other patients.

    ``None`` if there is no split yet, or if the download does not hold the patient: without a patient of additions the
    split of the others stays the same. A patient of whom all recordings were rejected counts: without them another
    patient's copy may be accepted.
    """
    folder = root / Paths(after.dataset).manifest
    raw = root / Paths(after.dataset).raw
    if not after.any_of(in_folder(dataset, raw)):
        return None
    if not (folder / "recordings.parquet").exists():
        if not (root / Paths(after.dataset).version).exists():
            return None
        raise DataError(
            "the manifest is missing: the present split assignment cannot be recorded, and the next split would move"
            " other patients",
            where=str(folder),
            next_step="dvc checkout (dvc pull, or auscult run), then the same command again",
        )
    recordings = read_table(folder / "recordings.parquet")
    downloaded = recordings[recordings["batch"].isna()]
    tasks = [Task.from_json(entry) for entry in read_json(folder / "tasks.json")]
    now = pinned.read(after.dataset, root)
    segments = read_table(folder / "segments.parquet")
    segments = segments[segments["recording_id"].isin(downloaded["recording_id"])]
    result = split(downloaded, segments, tasks, params.split, now)
    return pinned.pin(result.assignment, params.split, after, with_test=result.test_from == "drawn")


def _rewrite_additions(dataset: Dataset, after: Withdrawals, root: Path) -> None:
    """Replace each addition that holds a withdrawn patient by another one without them, or by none."""
    with locked(root):
        for folder in batches(root / Paths(dataset.name).added):
            if after.any_of(in_folder(dataset, folder)):
                rewrite(dataset, folder, after, root)
        for left in (root / Paths(dataset.name).added).glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)


def _next(found: Affected) -> list[str]:
    steps = [
        "git add data/withdrawn data/added && git commit -m 'data: a withdrawal'",
        "auscult run   (or dvc repro), then git add dvc.lock data reports && git commit, and dvc push",
    ]
    if serving := [each for each in found.registered if each.champion]:
        names = ", ".join(each.experiment for each in serving)
        steps.append(
            f"a model in service learned from this patient ({names}): auscult models retrain, or put the new one into"
            " service: auscult models promote EXPERIMENT --version N --because 'a withdrawal'"
        )
    steps.append("auscult data purge --dry-run, then without --dry-run: what older versions and caches hold")
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))]
