"""``auscult data withdraw PATIENT``: leave a patient out of the data from now on; nothing is purged yet."""

from __future__ import annotations

import difflib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.core import corrections, withdrawals
from auscult.core import params as parameters
from auscult.core.digests import patient_key, patient_keys
from auscult.core.errors import DataError, ParameterError
from auscult.core.identifiers import look_alikes, normal
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.batch import locked, rewrite, sweep
from auscult.curation.current_split import current_folds
from auscult.curation.withdrawals import learned_models
from auscult.curation.withdrawals.patient_lookup import patients_in_folder, patients_in_versions
from auscult.datasets import Dataset, load
from auscult.splitting import pinned
from auscult.splitting.pinned import Pinned
from auscult.validation.additions import batches
from auscult.versioning import history
from auscult.versioning.commands import CommandError
from auscult.versioning.dvc_internals import Repository
from auscult.versioning.dvc_objects import ObjectReader, reachable_remotes

#: To be raised when a key of :meth:`Withdrawn.to_json` changes its meaning.
SCHEMA = 1


@dataclass(frozen=True)
class Withdrawn:
    """A withdrawal, and what it affects.

    Attributes
    ----------
    since
        Date of the withdrawal (ISO 8601).
    dry_run
        Whether nothing was changed.
    recordings, segments
        Numbers in the manifest.
    parts
        Parts of the split that the patient is in.
    additions
        Number of additions that are written again without the patient.
    models
        Experiments whose model below ``models/`` learned from the patient.
    registered
        Registered versions that learned from the patient.
    look_alikes
        Other patient ids of the data set that look like this one, and are not withdrawn with it.
    """

    dataset: str
    patient: str
    since: str
    dry_run: bool
    recordings: int
    segments: int
    parts: list[str]
    additions: int
    models: list[str]
    registered: list[learned_models.LearnedVersion]
    look_alikes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"schema": SCHEMA, **vars(self), "registered": [each.to_json() for each in self.registered]}

    def __str__(self) -> str:
        parts = f"part {', '.join(self.parts)}" if self.parts else "in no part"
        done = "would be withdrawn" if self.dry_run else f"has withdrawn since {self.since}"
        return "\n".join(
            [
                f"Patient {self.patient} of {self.dataset} {done}",
                f"In the data: {self.recordings} recordings, {self.segments} segments ({parts});"
                f" additions to be written again without them: {self.additions}",
                f"Models that learned from this patient: {', '.join(self.models) or 'none'}",
                f"Registered versions that learned from this patient: {', '.join(map(str, self.registered)) or 'none'}",
                *(
                    f"Another patient id looks like this one: {each!r}. If it is the same patient, withdraw it too"
                    for each in self.look_alikes
                ),
                *(["Nothing was changed"] if self.dry_run else ["", *_next(self)]),
            ]
        )


def withdraw(patient: str, since: str | None = None, *, dry_run: bool = False, root: Path = Path()) -> Withdrawn:
    """Add a patient to the table of withdrawals, record the others' split assignment, and rewrite the additions.

    A second call, also after a kill, ends in the same state.

    Parameters
    ----------
    patient
        Patient id, as in the data set's file names; in any Unicode form, with or without outer blanks.
    since
        Date (ISO 8601) of the withdrawal; by default today.

    Raises
    ------
    DataError
        The data set has no such patient, or none of its data are in the workspace.
    ParameterError
        *since* is not a date.
    """
    params = parameters.load(root / parameters.FILE)
    dataset, table = load(params.dataset), withdrawals.read(params.dataset, root)
    patient = normal(patient)
    if not dry_run:
        with locked(root):
            sweep(root / Paths(dataset.name).added)
    known = _known(dataset, root)
    day = next((table.since[key] for key in patient_keys(dataset.name, patient) if key in table.since), None)
    if day is None:
        _check_known(dataset, patient, known, root)
        day = _day(since)
    keys = {patient_key(dataset.name, patient)}
    older = patient_keys(dataset.name, patient) - keys
    if older and (
        learned_models.in_workspace(dataset.name, older, root) or learned_models.registered(dataset.name, older, root)
    ):
        keys |= older  # a purge finds models by the keys that they record
    after = replace(table, since=dict.fromkeys(keys, day) | dict(table.since))
    found = _affected(dataset, patient, day, after, known, root, dry_run=dry_run)
    if dry_run:
        return found
    pins = _pins(dataset, params, after, root)
    if pins is not None:  # first: once the table is written, the assignment must be recorded
        pinned.write(pins, root)
    if after != table:
        withdrawals.write(after, root)
    _forget_corrections(dataset, after, root)
    with locked(root):
        for folder in _batches_of(dataset, after, root):
            rewrite(dataset, folder, after, root)
    return found


def _day(since: str | None) -> str:
    if since is None:
        return date.today().isoformat()
    try:
        return date.fromisoformat(since).isoformat()
    except ValueError as error:
        raise ParameterError(f"{since!r} is not a date", where="--since", next_step="write it as 2026-11-25") from error


def _known(dataset: Dataset, root: Path) -> set[str]:
    """Return the patients of the workspace."""
    paths = Paths(dataset.name)
    folders = [folder for folder in (root / paths.raw, *batches(root / paths.added)) if folder.is_dir()]
    return set().union(*(patients_in_folder(dataset, folder) for folder in folders))


def _check_known(dataset: Dataset, patient: str, known: set[str], root: Path) -> None:
    """Raise a :class:`DataError` if no version has this patient; the message names the closest id only."""
    if patient in known or patient in _in_history(dataset, root):
        return
    paths = Paths(dataset.name)
    if not known:
        raise DataError(
            f"the workspace has no data of the data set {dataset.name}",
            where=str(paths.raw),
            next_step="dvc pull (or dvc repro), then the same command again",
        )
    close = _like(patient, known) or difflib.get_close_matches(patient, sorted(known), n=1, cutoff=0.7)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise DataError(
        f"the data set {dataset.name} has no patient {patient!r}{hint}",
        where=f"{paths.raw}, {paths.added}",
        next_step="write the id as in the file names of the recordings, or the tables of an addition;"
        " params.yaml names the data set",
    )


def _like(patient: str, known: set[str]) -> list[str]:
    """Return the other ids that look like the patient's."""
    groups = look_alikes(known | {patient})
    return [other for group in groups if patient in group for other in group if other != patient]


def _in_history(dataset: Dataset, root: Path) -> set[str]:
    """Return the patients of all versions: one may be on another branch, or in an addition that was removed again."""
    with suppress(CommandError):  # not a git repository, and so no versions
        versions = history.versions(root)
        with Repository(root) as repository:
            reached, _ = reachable_remotes(repository, root, repository.remotes)
            return patients_in_versions(ObjectReader([repository.cache, *reached.values()]), versions, dataset)
    return set()


def _affected(
    dataset: Dataset, patient: str, day: str, after: Withdrawals, known: set[str], root: Path, *, dry_run: bool
) -> Withdrawn:
    """Look the patient up in the manifest, the additions, the models and the registry."""
    paths, keys = Paths(dataset.name), patient_keys(dataset.name, patient)

    def rows_of(path: Path) -> pd.DataFrame:
        table = read_table(root / path) if (root / path).exists() else pd.DataFrame(columns=["patient_id", "part"])
        return table[table["patient_id"].astype(str).map(normal) == patient]

    return Withdrawn(
        dataset=dataset.name,
        patient=patient,
        since=day,
        dry_run=dry_run,
        recordings=len(rows_of(paths.manifest / "recordings.parquet")),
        segments=len(rows_of(paths.manifest / "segments.parquet")),
        parts=sorted(set(rows_of(paths.split / "assignment.parquet")["part"])),
        additions=len(_batches_of(dataset, after, root)),
        models=learned_models.in_workspace(dataset.name, keys, root),
        registered=learned_models.registered(dataset.name, keys, root),
        look_alikes=_like(patient, known),
    )


def _batches_of(dataset: Dataset, withdrawn: Withdrawals, root: Path) -> list[Path]:
    """Return the additions that hold a withdrawn patient."""
    folders = batches(root / Paths(dataset.name).added)
    return [folder for folder in folders if withdrawn.any_of(patients_in_folder(dataset, folder))]


def _pins(dataset: Dataset, params: Params, after: Withdrawals, root: Path) -> Pinned | None:
    """Return the present split assignment of all other patients.

    ``None`` if there is no split yet, or if the download does not hold the patient: without a patient of additions the
    split of the others stays the same. A patient of whom all recordings were rejected counts: without them another
    patient's copy may be accepted.
    """
    paths = Paths(dataset.name)
    folder = root / paths.manifest
    if not after.any_of(patients_in_folder(dataset, root / paths.raw)):
        return None
    if not (folder / "recordings.parquet").exists():
        if not (root / paths.version).exists():
            return None
        raise DataError(
            "the manifest is missing: the present split assignment cannot be recorded, and the next split would move"
            " other patients",
            where=str(folder),
            next_step="dvc checkout (dvc pull, or auscult run), then the same command again",
        )
    return current_folds(params, after, root)


def _forget_corrections(dataset: Dataset, after: Withdrawals, root: Path) -> None:
    """Remove the corrections that name a withdrawn patient's recordings, as far as the manifest knows these.

    A recording that a correction leaves out is in the manifest's table of corrections only.
    """
    folder, gone = root / Paths(dataset.name).manifest, set[str]()
    for file in (folder / "recordings.parquet", folder / "corrections.parquet"):
        if file.exists():
            rows = read_table(file)
            gone |= set(rows.loc[[after.holds(patient) for patient in rows["patient_id"]], "recording_id"])
    table = corrections.read(dataset.name, root)
    kept = [each for each in table if each.recording_id not in gone]
    if kept != table:
        corrections.write(dataset.name, kept, root)


def _next(found: Withdrawn) -> list[str]:
    steps = [
        "git add data/withdrawn data/corrections data/added && git commit -m 'data: a withdrawal'",
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
