"""Examining a delivery: alone first, by the very functions of the stage ``validate``, then beside what is present."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.digests import file_sha256
from auscult.core.errors import DataError
from auscult.core.process import workers
from auscult.core.sections import Params, ValidateParams
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.batch import locked
from auscult.curation.additions.delivery import Delivery, Rejected
from auscult.curation.additions.layout import layout, not_read
from auscult.curation.additions.present import PresentData, read_present
from auscult.curation.additions.withdrawn import places
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import files_below, is_audio
from auscult.datasets.readers.delivery_tables import RECORDINGS, TablesLayout, reader
from auscult.datasets.retrieval.withdrawn_files import reduced
from auscult.splitting import pinned
from auscult.splitting.near_duplicates import find_near_duplicates
from auscult.splitting.parts import split
from auscult.splitting.pinned import Pinned
from auscult.validation.expectations import check_tables
from auscult.validation.manifest import Examined, Tables, build, examine_all

#: In place of a batch's name while there is none.
_NEW = "delivery"


def examine(dataset_name: str, delivery: Path, root: Path | None = None) -> Delivery:
    """Look at every recording of a delivery, alone and beside what is present; nothing is written.

    Parameters
    ----------
    dataset_name
        The data set that it is for.
    delivery
        A folder in any layout that the data set's ``layout()`` accepts, or audio with ``recordings.csv`` and
        ``segments.csv``. It is read, never changed.
    root
        Root of the repository (or of a worktree of it); the current directory where it is ``None``.

    Raises
    ------
    DataError
        The delivery is something else, the manifest is not there, or an addition is missing.
    ParameterError
        There is no such data set, or ``params.yaml`` is wrong.
    AuscultError
        There is no DVC repository at *root*.
    """
    root = Path.cwd() if root is None else root
    dataset, params = load(dataset_name), _params(dataset_name, root)
    withdrawn = withdrawals.read(dataset_name, root)
    source, delivered = reader(dataset, delivery), layout(dataset, delivery)
    gone = places(source, delivery, delivered, withdrawn)
    files = {target: file for target, file in delivered.items() if target not in gone}
    # What changes from here on is not added.
    checksums = {target: _checksum(dataset, target, file, withdrawn) for target, file in files.items()}
    with locked(root):
        present = read_present(dataset, root, params.validate_)
    found = _alone(dataset, delivery, files, params.validate_, withdrawn)
    rejected = _unplaced(delivery, delivered) + _withdrawn(gone)
    there, sound = _against_present(found, present, rejected)
    sound = _without_twins(sound, present, rejected)
    sound = _as_expected(sound, present, dataset, params.validate_, rejected)
    accepted = {item.recording.recording_id: item.recording.path for item in sound}
    if isinstance(source, TablesLayout):
        mine, tables = {path: files[path] for path in accepted.values()}, source.excerpt(delivery, accepted)
    else:
        mine, tables = _files_of(files, found, set(accepted)), {}
    sides = _sides(build(sound), present, dataset, params, pinned.read(dataset_name, root)) if sound else {}
    return Delivery(
        dataset=dataset_name,
        root=root,
        accepted=tuple(sound),
        already_there=tuple(there),
        rejected=tuple(sorted(rejected, key=lambda entry: (entry.recording_id, entry.reason))),
        sides=sides,
        known=frozenset(sides) & frozenset(present.recordings["patient_id"]),
        files=mine,
        tables=tables,
        checksums={target: checksums[target] for target in mine}
        | {target: hashlib.sha256(content).hexdigest() for target, content in tables.items()},
    )


def _params(dataset_name: str, root: Path) -> Params:
    """The parameters as they are for this data set, whichever ``params.yaml`` names."""
    import yaml

    file = root / parameters.FILE
    params = parameters.load(file)
    if params.dataset == dataset_name:
        return params
    return parameters.resolve(yaml.safe_load(parameters.read(file)) | {"dataset": dataset_name}, where=str(file))


def _checksum(dataset: Dataset, target: str, file: Path, withdrawn: Withdrawals) -> str:
    """Of what is put in: a table is, without the lines of those who have withdrawn."""
    try:
        if not dataset.is_table(target):
            return file_sha256(file)
        return hashlib.sha256(reduced(dataset, target, file.read_bytes(), withdrawn)).hexdigest()
    except OSError:  # its recording is about to be set aside; a batch with it could not be added
        return ""


def _alone(
    dataset: Dataset, delivery: Path, files: Mapping[str, Path], params: ValidateParams, withdrawn: Withdrawals
) -> list[Examined]:
    """Every recording of the delivery, read in the raw layout from links to its files, or as it lies beside tables."""
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
    """Let errors name the delivery's files, not the places where they were read."""
    try:
        yield
    except (DataError, OSError) as caught:
        error = caught if isinstance(caught, DataError) else not_read(caught, scratch)
        what, where = error.what, error.where
        for target in sorted(files, key=len, reverse=True):
            what, where = (text.replace(str(scratch / target), str(files[target])) for text in (what, where))
        raise type(error)(what, where=where, next_step=error.next_step) from caught


def _unplaced(delivery: Path, files: Mapping[str, Path]) -> list[Rejected]:
    """Audio files that the data set's layout has no place for; second encodings of a recording apart."""
    taken, stems = set(files.values()), {PurePosixPath(target).stem for target in files}
    tables = RECORDINGS in files
    detail = f"no row of {RECORDINGS} names it" if tables else "its name or folder tells no recording of this data set"
    return [
        Rejected(path.relative_to(delivery).as_posix(), "unplaced", detail)
        for path in files_below(delivery)
        if is_audio(path.name) and path not in taken and (tables or path.stem not in stems)
    ]


def _withdrawn(targets: Iterable[str]) -> list[Rejected]:
    """One entry for each recording of a patient who has withdrawn; its files are not opened."""
    names = {PurePosixPath(target).stem for target in targets}
    return [Rejected(name, "withdrawn", "its patient has withdrawn") for name in sorted(names)]


def _against_present(
    found: Sequence[Examined], present: PresentData, rejected: list[Rejected]
) -> tuple[list[str], list[Examined]]:
    """Names that are there already, and what is sound and new; the rest is added to *rejected*."""
    there: list[str] = []
    sound: list[Examined] = []
    for item in found:
        name = item.recording.recording_id
        if present.has(item):
            if difference := present.other_labels(item):
                rejected.append(Rejected(name, "corrected", difference))
            else:
                there.append(name)
            continue
        judged = item if item.problems else present.index.check(item)
        rejected += [Rejected(name, problem.reason, problem.detail) for problem in judged.problems]
        sound += [] if judged.problems else [judged]
    return there, sound


def _without_twins(sound: Sequence[Examined], present: PresentData, rejected: list[Rejected]) -> list[Examined]:
    """Those that hold the same sound as no other patient's recording, present or delivered."""
    import pandas as pd

    new = build(sound)
    both = pd.concat([present.recordings, new.recordings])
    patients = dict(zip(both["recording_id"], both["patient_id"], strict=True))
    mine = set(new.recordings["recording_id"])
    twins: dict[str, str] = {}
    for pair in find_near_duplicates(pd.concat([present.fingerprints, new.fingerprints]), patients) if mine else ():
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if one in mine:
                twins.setdefault(one, f"the same sound as {other} of another patient: {pair}")
    rejected += [Rejected(name, "twin", detail) for name, detail in twins.items()]
    return [item for item in sound if item.recording.recording_id not in twins]


def _as_expected(
    sound: Sequence[Examined],
    present: PresentData,
    dataset: Dataset,
    params: ValidateParams,
    rejected: list[Rejected],
) -> list[Examined]:
    """Those for which the expectations of ``validate`` hold, also beside what is present.

    Raises
    ------
    DataError
        An expectation fails, but for none of the delivery's rows.
    """
    import pandas as pd

    if not sound:
        return []
    new = build(sound)
    names = set(new.recordings["recording_id"])
    both = pd.concat([present.recordings, new.recordings], ignore_index=True)
    failing: dict[str, list[str]] = {}
    for outcome in check_tables(both, new.segments, dataset, params):
        if outcome.passed:
            continue
        words = f"{outcome.table}: {outcome.expectation}"
        mine = {row if outcome.table == "recordings" else row.rpartition(":")[0] for row in outcome.failing} & names
        if not mine:
            where, next_step = str(present.folder), "dvc repro validate"
            raise DataError(f"beside what is present an expectation fails: {words}", where=where, next_step=next_step)
        for name in mine:
            failing.setdefault(name, []).append(words)
    rejected += [Rejected(name, "expectation", "; ".join(words)) for name, words in failing.items()]
    return [item for item in sound if item.recording.recording_id not in failing]


def _sides(new: Tables, present: PresentData, dataset: Dataset, params: Params, pins: Pinned) -> dict[str, str]:
    """Patient → part, as the stage ``split`` will have it."""
    import pandas as pd

    recordings = pd.concat([present.recordings, new.recordings], ignore_index=True)
    segments = pd.concat([present.segments, new.segments], ignore_index=True)
    assignment = split(recordings, segments, dataset.tasks, params.split, pins).assignment
    mine = assignment[assignment["recording_id"].isin(new.recordings["recording_id"])]
    return dict(sorted(zip(mine["patient_id"], mine["part"], strict=True)))


def _files_of(files: Mapping[str, Path], found: Sequence[Examined], accepted: set[str]) -> dict[str, Path]:
    """The files of accepted recordings, and those that belong to no recording: the tables."""
    others = [item.recording for item in found if item.recording.recording_id not in accepted]
    names, paths = {recording.recording_id for recording in others}, {recording.path for recording in others}
    return {
        target: file
        for target, file in files.items()
        if target not in paths and PurePosixPath(target).stem not in names
    }
