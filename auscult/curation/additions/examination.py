"""Examine a delivery: alone, by the functions of the stage ``validate``, then together with the present data."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd
import yaml

from auscult.audio.checks import inspect
from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.digests import file_sha256
from auscult.core.errors import DataError
from auscult.core.identifiers import look_alikes, normal
from auscult.core.paths import DATA_DIR, Paths
from auscult.core.process import workers
from auscult.core.sections import Params, ValidateParams
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.batch import locked, withdrawn_files
from auscult.curation.additions.delivery import Delivery, Rejected, layout, not_read
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import files_below, is_audio
from auscult.datasets.readers.delivery_tables import RECORDINGS, TablesLayout, reader
from auscult.datasets.retrieval.withdrawn_files import reduced
from auscult.splitting import pinned
from auscult.splitting.near_duplicates import find_near_duplicates
from auscult.splitting.parts import split
from auscult.splitting.pinned import Pinned
from auscult.validation.additions import batches, check_unchanged
from auscult.validation.expectations import check_tables
from auscult.validation.manifest import Examined, Present, Tables, build, examine_all, origin

#: Stands for the name of the batch until there is one.
_NEW = "delivery"


def examine(dataset_name: str, delivery: Path, root: Path = Path(), *, assumed: Sequence[Delivery] = ()) -> Delivery:
    """Examine every recording of a delivery, alone and together with the present data; nothing is written.

    Parameters
    ----------
    dataset_name
        The data set that it belongs to.
    delivery
        A folder in any layout that the data set's ``layout()`` accepts, or audio with ``recordings.csv`` and
        ``segments.csv``. It is never changed.
    root
        Root of the repository, or of a worktree of it; by default the current directory.
    assumed
        Deliveries whose accepted recordings count as present, though they were not added: for a dry run.

    Raises
    ------
    DataError
        The folder holds no delivery to the data set, there is no manifest, or an addition is missing.
    ParameterError
        There is no such data set, or ``params.yaml`` is wrong.
    AuscultError
        There is no DVC repository at *root*.
    """
    dataset, params = load(dataset_name), _params(dataset_name, root)
    withdrawn = withdrawals.read(dataset_name, root)
    source, delivered = reader(dataset, delivery), layout(dataset, delivery)
    withdrawn_paths = withdrawn_files(source, delivery, delivered, withdrawn)
    files = {target: file for target, file in delivered.items() if target not in withdrawn_paths}
    # A file that changes after this is not added.
    checksums = {target: _checksum(dataset, target, file, withdrawn) for target, file in files.items()}
    with locked(root):
        present = read_present(dataset, root, params.validate_, assumed)
    found = _examine_alone(dataset, delivery, files, params.validate_, withdrawn)
    rejected = _unplaced(delivery, delivered) + _withdrawn(withdrawn_paths)
    present_names, valid = _against_present(found, present, rejected)
    for reason, check in (("near_duplicate", present.near_duplicates), ("expectation", present.failed_expectations)):
        failing = check(build(valid)) if valid else {}
        rejected += [Rejected(name, reason, detail) for name, detail in failing.items()]
        valid = [item for item in valid if item.recording.recording_id not in failing]
    accepted = {item.recording.recording_id: item.recording.path for item in valid}
    if isinstance(source, TablesLayout):
        kept, tables = {path: files[path] for path in accepted.values()}, source.excerpt(delivery, accepted)
    else:
        kept, tables = _files_of(files, found, set(accepted)), {}
    parts = present.parts_with(build(valid), params, pinned.read(dataset_name, root)) if valid else {}
    alike = look_alikes({*parts, *present.recordings["patient_id"]})
    return Delivery(
        dataset=dataset_name,
        root=root,
        accepted=tuple(valid),
        present=tuple(present_names),
        rejected=tuple(sorted(rejected, key=lambda entry: (entry.recording_id, entry.reason))),
        parts=parts,
        known=frozenset(parts) & frozenset(present.recordings["patient_id"]),
        look_alikes=tuple(group for group in alike if not parts.keys().isdisjoint(group)),
        files=kept,
        tables=tables,
        checksums={target: checksums[target] for target in kept}
        | {target: hashlib.sha256(content).hexdigest() for target, content in tables.items()},
    )


def _params(dataset_name: str, root: Path) -> Params:
    """Return the parameters for this data set, whichever one ``params.yaml`` names."""
    file = root / parameters.FILE
    params = parameters.load(file)
    if params.dataset == dataset_name:
        return params
    return parameters.resolve(yaml.safe_load(parameters.read(file)) | {"dataset": dataset_name}, where=str(file))


def _checksum(dataset: Dataset, target: str, file: Path, withdrawn: Withdrawals) -> str:
    """Return the checksum of a file as it is added: a table without the rows of withdrawn patients."""
    try:
        if not dataset.is_table(target):
            return file_sha256(file)
        return hashlib.sha256(reduced(dataset, target, file.read_bytes(), withdrawn)).hexdigest()
    except OSError:  # its recording is rejected later; a batch with it could not be added
        return ""


def _examine_alone(
    dataset: Dataset, delivery: Path, files: Mapping[str, Path], params: ValidateParams, withdrawn: Withdrawals
) -> list[Examined]:
    """Examine every recording by itself, in the raw layout through links to its files, or beside its tables."""
    if RECORDINGS in files:
        return examine_all(dataset, delivery, params, workers(), batch=_NEW, withdrawn=withdrawn)
    with tempfile.TemporaryDirectory(prefix="auscult-delivery-") as name, _named(files, Path(name)):
        for target, file in files.items():
            place = Path(name) / target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())
        return examine_all(dataset, Path(name), params, workers(), batch=_NEW, withdrawn=withdrawn)


@contextmanager
def _named(files: Mapping[str, Path], scratch: Path) -> Iterator[None]:
    """Let errors name the delivery's files instead of the links through which they were read."""
    try:
        yield
    except (DataError, OSError) as caught:
        error = caught if isinstance(caught, DataError) else not_read(caught, scratch)
        what, where = error.what, error.where
        for target in sorted(files, key=len, reverse=True):
            what, where = (text.replace(str(scratch / target), str(files[target])) for text in (what, where))
        raise type(error)(what, where=where, next_step=error.next_step) from caught


def _unplaced(delivery: Path, files: Mapping[str, Path]) -> list[Rejected]:
    """Return the audio files that belong to no recording, except second encodings of a recording."""
    taken, stems = set(files.values()), {normal(PurePosixPath(target).stem) for target in files}
    tables = RECORDINGS in files
    detail = f"no row of {RECORDINGS} names it" if tables else "its name or folder is not that of a recording"
    return [
        Rejected(path.relative_to(delivery).as_posix(), "unplaced", detail)
        for path in files_below(delivery)
        if is_audio(path.name) and path not in taken and (tables or normal(path.stem) not in stems)
    ]


def _withdrawn(targets: Iterable[str]) -> list[Rejected]:
    """Return one entry for each recording of a patient who has withdrawn; its files are not opened."""
    names = {PurePosixPath(target).stem for target in targets}
    return [Rejected(name, "withdrawn", "its patient has withdrawn") for name in sorted(names)]


def _against_present(
    found: Sequence[Examined], present: PresentData, rejected: list[Rejected]
) -> tuple[list[str], list[Examined]]:
    """Return the names that are present, and the new recordings without problems; add the rest to *rejected*."""
    names: list[str] = []
    valid: list[Examined] = []
    for item in found:
        name = item.recording.recording_id
        if present.has(item):
            if difference := present.other_labels(item):
                rejected.append(Rejected(name, "corrected", difference))
            else:
                names.append(name)
            continue
        judged = item if item.problems else present.index.check(item)
        rejected += [Rejected(name, problem.reason, problem.detail) for problem in judged.problems]
        valid += [] if judged.problems else [judged]
    return names, valid


def _files_of(files: Mapping[str, Path], found: Sequence[Examined], accepted: set[str]) -> dict[str, Path]:
    """Return the files of accepted recordings, and those that belong to no recording: the tables."""
    others = [item.recording for item in found if item.recording.recording_id not in accepted]
    names, paths = {recording.recording_id for recording in others}, {recording.path for recording in others}
    return {
        target: file
        for target, file in files.items()
        if target not in paths and normal(PurePosixPath(target).stem) not in names
    }


@dataclass(frozen=True)
class PresentData:
    """The accepted recordings that a data set has, those of recent additions included.

    Attributes
    ----------
    recordings, segments, fingerprints
        Tables of the manifest, with rows for additions that are newer than it.
    index
        Names and audio, to find duplicates of present recordings.
    """

    dataset: Dataset
    params: ValidateParams
    recordings: pd.DataFrame
    segments: pd.DataFrame
    fingerprints: pd.DataFrame
    index: Present

    def has(self, item: Examined) -> bool:
        """Return whether the same recording, by name and audio, is present."""
        row = self._row(item)
        return item.audio is not None and not row.empty and row["audio_sha256"].iloc[0] == item.audio.audio_sha256

    def other_labels(self, item: Examined) -> str:
        """Return how the present labels of a recording differ from those delivered; empty if they agree."""
        label = self._row(item)["label"].iloc[0]
        label = label if isinstance(label, str) else None
        if label != item.recording.label:
            return f"it is present with the label {label!r} instead of {item.recording.label!r}"
        rows = self.segments[self.segments["recording_id"] == item.recording.recording_id]
        times = zip(rows["start_s"].round(6), rows["end_s"].round(6), rows["label"], strict=True)
        if list(times) != [(round(s.start_s, 6), round(s.end_s, 6), s.label) for s in item.segments]:
            return f"it is present with other segments ({len(rows)} instead of {len(item.segments)})"
        return ""

    def near_duplicates(self, new: Tables) -> dict[str, str]:
        """Return new recording → detail, of those that are near-duplicates of another patient's, present or new."""
        both = pd.concat([self.recordings, new.recordings])
        patients = dict(zip(both["recording_id"], both["patient_id"], strict=True))
        names, found = set(new.recordings["recording_id"]), dict[str, str]()
        for pair in find_near_duplicates(pd.concat([self.fingerprints, new.fingerprints]), patients):
            for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
                if one in names:
                    found.setdefault(one, f"the same sound as {other} of another patient: {pair}")
        return found

    def failed_expectations(self, new: Tables) -> dict[str, str]:
        """Return new recording → the expectations of ``validate`` that it fails together with the present data.

        Raises
        ------
        DataError
            An expectation fails, but for no new recording.
        """
        names, found = set(new.recordings["recording_id"]), dict[str, list[str]]()
        both = pd.concat([self.recordings, new.recordings], ignore_index=True)
        for outcome in check_tables(both, new.segments, self.dataset, self.params):
            if outcome.passed:
                continue
            expectation = f"{outcome.table}: {outcome.expectation}"
            rows = (row if outcome.table == "recordings" else row.rpartition(":")[0] for row in outcome.failing)
            failing = names.intersection(rows)
            if not failing:
                what = f"an expectation fails for the present data: {expectation}"
                raise DataError(what, where=str(Paths(self.dataset.name).manifest), next_step="dvc repro validate")
            for name in failing:
                found.setdefault(name, []).append(expectation)
        return {name: "; ".join(each) for name, each in found.items()}

    def parts_with(self, new: Tables, params: Params, pins: Pinned) -> dict[str, str]:
        """Return patient of a new recording → part, as the stage ``split`` will assign it."""
        recordings = pd.concat([self.recordings, new.recordings], ignore_index=True)
        segments = pd.concat([self.segments, new.segments], ignore_index=True)
        assignment = split(recordings, segments, self.dataset.tasks, params.split, pins).assignment
        rows = assignment[assignment["recording_id"].isin(new.recordings["recording_id"])]
        return dict(sorted(zip(rows["patient_id"], rows["part"], strict=True)))

    def _row(self, item: Examined) -> pd.DataFrame:
        return self.recordings[self.recordings["recording_id"] == item.recording.recording_id]


def read_present(dataset: Dataset, root: Path, params: ValidateParams, assumed: Sequence[Delivery] = ()) -> PresentData:
    """Read the manifest, examine additions that are newer than it, and count *assumed* deliveries as additions.

    Raises
    ------
    DataError
        There is no manifest, it holds an addition that does not exist any more, or an addition is missing.
    """
    paths = Paths(dataset.name)
    folder = root / paths.manifest
    if not (folder / "recordings.parquet").exists():
        raise _without_manifest(f"there is no manifest of {dataset.name}", folder)
    tables = {name: read_table(folder / f"{name}.parquet") for name in ("recordings", "segments", "fingerprints")}
    recordings, rejects = tables["recordings"], read_table(folder / "rejects.parquet")
    if "batch" not in recordings:
        raise _without_manifest(f"the manifest of {dataset.name} was made by an older version", folder)
    added = {batch.name: batch for batch in batches(root / paths.added)}
    known = set(recordings["batch"].dropna())
    if gone := sorted(known - added.keys()):
        what = f"the manifest of {dataset.name} holds the addition {gone[0]}, which does not exist any more"
        raise _without_manifest(what, folder)
    index = Present(
        ids={
            name: origin(batch if isinstance(batch, str) else None)
            for name, batch in zip(recordings["recording_id"], recordings["batch"], strict=True)
        },
        audio=dict(zip(recordings["audio_sha256"], recordings["recording_id"], strict=True)),
    )
    for name in rejects["recording_id"]:
        index.ids.setdefault(name, "the list of rejected recordings")
    copies = set(rejects.loc[rejects["reason"] == "duplicate_audio", "recording_id"])
    # The patient of one more copy of a rejected duplicate would be unknown as well.
    for recording in dataset.recordings(root / paths.raw) if copies else ():
        if recording.recording_id in copies and (audio := inspect(root / paths.raw / recording.path, params)[0]):
            index.audio.setdefault(audio.audio_sha256, recording.recording_id)
    newer: list[Examined] = []
    withdrawn = withdrawals.read(dataset.name, root)
    for name in sorted(added.keys() - known):
        check_unchanged(added[name])
        examined = examine_all(dataset, added[name], params, workers(), batch=name, withdrawn=withdrawn)
        found = [index.check(item) for item in examined]
        index.add(found)
        newer += found
    for delivery in assumed:
        place = (paths.added / delivery.batch).relative_to(DATA_DIR)
        found = [
            replace(item, batch=delivery.batch, path=(place / item.recording.path).as_posix())
            for item in delivery.accepted
        ]
        index.add(found)
        newer += found
    if newer:
        new = build(newer)
        tables = {n: pd.concat([table, getattr(new, n)], ignore_index=True) for n, table in tables.items()}
    return PresentData(dataset, params, **tables, index=index)


def _without_manifest(what: str, folder: Path) -> DataError:
    return DataError(what, where=str(folder), next_step="dvc repro validate (or auscult run), then add the delivery")
