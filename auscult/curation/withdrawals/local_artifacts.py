"""What the project keeps beside DVC's outputs: caches, journals, downloads, lists, half-written folders."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from auscult import datasets
from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR, DATA_DIR, Paths
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.patient_lookup import delivered, file_mentions, in_table, mentions
from auscult.datasets import Dataset


@dataclass(frozen=True)
class Removal:
    """Files or folders of one kind that go.

    Attributes
    ----------
    what
        In words.
    paths
        They, some of which a killed call may have removed already.
    """

    what: str
    paths: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        files = (file for path in self.paths for file in ([path] if path.is_file() else path.rglob("*")))
        return sum(file.lstat().st_size for file in files if file.is_file())

    def remove(self) -> None:
        """Remove them."""
        for path in self.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if not path.is_dir() else None


def leftovers(
    root: Path, dataset: Dataset, withdrawn: Withdrawals, known_audio: Collection[str], called: Collection[str] = ()
) -> list[Removal]:
    """Everything of the kinds below that holds, or may hold, somebody who has withdrawn.

    Parameters
    ----------
    known_audio
        SHA-256 of the audio files that stay: what is cached of any other recording goes. It is only a cache.
    called
        Names of their recordings that do not tell whose they are: of additions with tables.
    """
    cache = root / CACHE_DIR
    found = [
        Removal(f"arrays cached of recordings that are in no data kept ({CACHE_DIR})", _arrays(cache, known_audio)),
        Removal(
            f"finished trainings of searches, which tell no patients ({CACHE_DIR}/search): a search that was cut off"
            " begins anew",
            tuple(sorted(cache.glob("search/*"))),
        ),
        Removal("what models heard in recordings that they learned from", _observed(cache, withdrawn)),
        Removal(
            "downloads that hold the patient: to bring the data set anew is to fetch them again",
            _downloads(cache, dataset, withdrawn),
        ),
        Removal("lists of recordings that were set aside", tuple(sorted(cache.glob(f"rejects-{dataset.name}.csv")))),
        Removal("half-written outputs that killed runs left", _half_written(root)),
        Removal("scratch copies of experiments", tuple(sorted((root / ".dvc/tmp/exps").glob("*/tmp*")))),
    ]
    listed = _files(root / Paths(dataset.name).reports / "ingest")
    named = {path for path in _pages(root, dataset.name) if file_mentions(dataset, path, withdrawn, called)}
    named |= {path for path in listed if _lists_strangers(dataset, path)}
    found += [
        Removal(f"it names, or may name, the patient's recordings: {path.relative_to(root)}", (path,))
        for path in sorted(named)
    ]
    return [removal for removal in found if removal.paths]


def dropped(root: Path, dataset: str, outs: Collection[str]) -> list[str]:
    """Outputs of experiments and representations that the parameters and the graph no longer name.

    Nothing makes them again without the patient. They are a person's to remove: the report depends on their folders.

    Parameters
    ----------
    outs
        Paths of the outputs that the stages make.
    """
    paths = Paths(dataset)
    folders = (paths.features("x").parent, paths.balanced("x").parent, paths.model("x").parent)
    found = (path for folder in (*folders, paths.evaluation("x").parent) for path in (root / folder).glob("[!.]*"))
    places = sorted(path.relative_to(root).as_posix() for path in found)
    return [place for place in places if not any(out == place or out.startswith(f"{place}/") for out in outs)]


def not_ours(root: Path, dataset: Dataset, withdrawn: Withdrawals, called: Collection[str] = ()) -> list[str]:
    """Places that name the patient's recordings and that only a person may empty."""
    folders = [root / DATA_DIR / name / dataset.name for name in ("inbox", "recent")]
    inside = [each for folder in folders for each in delivered(dataset, folder).items()]
    found = sorted(folder for folder, patients in inside if withdrawn.any_of(patients))
    said = [f"{folder.relative_to(root)}: recordings that were delivered, which are yours" for folder in found]
    server = [path for path in (root / CACHE_DIR / "prefect").rglob("*") if path.is_file()]
    if any(file_mentions(dataset, path, withdrawn, called) for path in server):
        said.append(
            f"{CACHE_DIR}/prefect: messages of earlier flows; end `make flows`, then: rm -r {CACHE_DIR}/prefect"
            " (it forgets the runs, not the models)"
        )
    return said


def lock_copies(root: Path, dataset: str) -> tuple[Path, ...]:
    """Copies of ``dvc.lock`` that are of another state of the data set than the present one."""
    folder, now = root / CACHE_DIR / "locks", root / "dvc.lock"
    copies = (path for path in (folder / f"{dataset}.lock", folder / "damaged.lock") if path.exists())
    return tuple(path for path in copies if not now.exists() or path.read_bytes() != now.read_bytes())


def _arrays(cache: Path, known_audio: Collection[str]) -> tuple[Path, ...]:
    """Entries of :mod:`auscult.audio.cache`, whose names begin with the checksum of the recording's file."""
    return tuple(path for path in sorted(cache.glob("*/*/*.f32")) if path.name[:64] not in known_audio)


def _observed(cache: Path, withdrawn: Withdrawals) -> tuple[Path, ...]:
    found = []
    for path in sorted(cache.glob("drift/*.parquet")):
        try:
            holds = not withdrawn.keys.isdisjoint(read_table(path)["patient"].dropna())
        except (DataError, KeyError):
            holds = True  # damaged, or of an older version: it is made again
        found += [path] if holds else []
    return tuple(found)


def _downloads(cache: Path, dataset: Dataset, withdrawn: Withdrawals) -> tuple[Path, ...]:
    """Archives and tables that were fetched, those of other data sets apart; their notes go with them."""
    others = {file.name for name in datasets.names() if name != dataset.name for file in datasets.load(name).files}
    mine = {file.name for file in dataset.files}
    found: list[Path] = []
    for path in sorted((cache / "downloads").glob("*")):
        name = path.name.removesuffix(".json").removesuffix(".part")
        if path.is_file() and name not in others and not path.name.endswith(".json"):
            part = path.name.endswith(".part") and name in mine  # what a half fetched archive holds nobody knows
            if part or _fetched_holds(path, dataset, withdrawn, ours=name in mine):
                found += [path, path.with_name(f"{path.name}.json")]
    return tuple(path for path in found if path.exists())


def _fetched_holds(path: Path, dataset: Dataset, withdrawn: Withdrawals, *, ours: bool) -> bool:
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return withdrawn.any_of({dataset.patient_of(name) for name in archive.namelist()})
        except (zipfile.BadZipFile, OSError):
            return ours
    if dataset.is_table(path.name):
        return withdrawn.any_of(in_table(dataset, path.name, path.read_bytes()))
    return ours and mentions(dataset, path.read_bytes(), withdrawn)


def _half_written(root: Path) -> tuple[Path, ...]:
    folders = [root / name for name in ("data", "models", "reports")]
    found = (path for folder in folders for kind in ("part", "old") for path in folder.glob(f"**/.*.{kind}"))
    return tuple(sorted(found))


def _pages(root: Path, dataset: str) -> Iterable[Path]:
    """What flows and stages write for people to read, outside DVC's outputs."""
    reports = Paths(dataset).reports
    for folder in (reports / "ingest", reports / "drift", Path("reports/data-docs"), Path("reports/decisions")):
        yield from _files(root / folder)
    yield from _files(root / "dvc_plots")


def _lists_strangers(dataset: Dataset, path: Path) -> bool:
    """Whether a list of what stayed out has a name that does not tell whose the recording is.

    It came with tables of which nothing was kept: the patient's it may be as well as anybody's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row][1:]
    except (OSError, ValueError, csv.Error):
        return True
    return any(name and dataset.patient_of(name) is None for name in names)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def checkouts(root: Path, dataset: str) -> list[str]:
    """Other worktrees of the repository that have outputs of the data set: their own ``clear`` is theirs."""
    from auscult.versioning.commands import git

    listed = git(root, "worktree", "list", "--porcelain").splitlines()
    places = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
    others = [place for place in places if place.resolve() != root.resolve()]
    return [str(place) for place in others if (place / Paths(dataset).raw).exists()]
