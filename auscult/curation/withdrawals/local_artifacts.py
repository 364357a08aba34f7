"""Find what the project keeps of withdrawn patients beside DVC's outputs: caches, downloads, pages, partial outputs."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from auscult import datasets
from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR, DATA_DIR, Paths
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.patient_lookup import file_mentions, in_deliveries, in_table, mentions
from auscult.datasets import Dataset
from auscult.versioning.commands import git


@dataclass(frozen=True)
class Removal:
    """Files or folders of one kind to remove.

    Attributes
    ----------
    what
        Description for the terminal.
    paths
        The files and folders; a killed call may have removed some of them already.
    """

    what: str
    paths: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Size of the files in bytes."""
        files = (file for path in self.paths for file in ([path] if path.is_file() else path.rglob("*")))
        return sum(file.lstat().st_size for file in files if file.is_file())

    def remove(self) -> None:
        """Remove the files and folders."""
        for path in self.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            if not path.is_dir():
                path.unlink(missing_ok=True)


def local_artifacts(
    root: Path, dataset: Dataset, withdrawn: Withdrawals, known_audio: Collection[str], aliases: Collection[str] = ()
) -> list[Removal]:
    """Return everything that holds, or may hold, a patient who has withdrawn.

    Parameters
    ----------
    known_audio
        SHA-256 of the audio files that are kept: what is cached of any other recording is removed.
    aliases
        Names of the patients' recordings that do not tell the patient.
    """
    cache = root / CACHE_DIR
    found = [
        Removal(f"cached arrays of recordings that are in no kept data ({CACHE_DIR})", _arrays(cache, known_audio)),
        Removal(
            f"finished trials of searches, which record no patients ({CACHE_DIR}/search): an interrupted search starts"
            " again",
            tuple(sorted(cache.glob("search/*"))),
        ),
        Removal("model outputs for training recordings, cached for drift monitoring", _observed(cache, withdrawn)),
        Removal(
            "downloads that hold the patient: they are fetched again when they are needed",
            _downloads(cache, dataset, withdrawn),
        ),
        Removal("lists of rejected recordings", tuple(sorted(cache.glob(f"rejects-{dataset.name}.csv")))),
        Removal("partial outputs of killed runs", _partial_outputs(root)),
        Removal("working copies of DVC experiments", tuple(sorted((root / ".dvc/tmp/exps").glob("*/tmp*")))),
    ]
    rejected = _files(root / Paths(dataset.name).reports / "ingest")
    named = {path for path in _pages(root, dataset.name) if file_mentions(dataset, path, withdrawn, aliases)}
    named |= {path for path in rejected if _lists_unknown_patients(dataset, path)}
    found += [
        Removal(f"names, or may name, the patient's recordings: {path.relative_to(root)}", (path,))
        for path in sorted(named)
    ]
    return [removal for removal in found if removal.paths]


def unnamed_outputs(root: Path, dataset: str, outs: Collection[str]) -> list[str]:
    """Return the outputs of experiments and representations that the parameters no longer name.

    No stage makes them again without the patient. The user must remove them, as the report depends on their folders.

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


def left_to_user(root: Path, dataset: Dataset, withdrawn: Withdrawals, aliases: Collection[str] = ()) -> list[str]:
    """Return, as lines of text, what holds the patient's recordings or names and only the user may remove."""
    folders = [root / DATA_DIR / name / dataset.name for name in ("inbox", "recent")]
    inside = [each for folder in folders for each in in_deliveries(dataset, folder).items()]
    found = sorted(folder for folder, patients in inside if withdrawn.any_of(patients))
    lines = [f"{folder.relative_to(root)}: recordings that were delivered to you" for folder in found]
    server = [path for path in (root / CACHE_DIR / "prefect").rglob("*") if path.is_file()]
    if any(file_mentions(dataset, path, withdrawn, aliases) for path in server):
        lines.append(
            f"{CACHE_DIR}/prefect: messages of earlier flows; end `make flows`, then: rm -r {CACHE_DIR}/prefect"
            " (it loses the history of runs, not the models)"
        )
    listed = git(root, "worktree", "list", "--porcelain").splitlines() if (root / ".git").exists() else []
    worktrees = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
    for worktree in worktrees:
        if worktree.resolve() != root.resolve() and (worktree / Paths(dataset.name).raw).exists():
            lines.append(f"{worktree}: another worktree, with outputs of its own; run auscult data purge there as well")
    return lines


def _arrays(cache: Path, known_audio: Collection[str]) -> tuple[Path, ...]:
    """Return entries of :mod:`auscult.audio.cache`, whose names begin with the checksum of the recording's file."""
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
    """Return downloaded archives and tables with the notes beside them, except those of other data sets."""
    others = {file.name for name in datasets.names() if name != dataset.name for file in datasets.load(name).files}
    mine = {file.name for file in dataset.files}
    found: list[Path] = []
    for path in sorted((cache / "downloads").glob("*")):
        name = path.name.removesuffix(".json").removesuffix(".part")
        if path.is_file() and name not in others and not path.name.endswith(".json"):
            partial = path.name.endswith(".part") and name in mine  # its content is unknown
            if partial or _download_holds(path, dataset, withdrawn, mine=name in mine):
                found += [path, path.with_name(f"{path.name}.json")]
    return tuple(path for path in found if path.exists())


def _download_holds(path: Path, dataset: Dataset, withdrawn: Withdrawals, *, mine: bool) -> bool:
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return withdrawn.any_of({dataset.patient_of(name) for name in archive.namelist()})
        except (zipfile.BadZipFile, OSError):
            return mine
    if dataset.is_table(path.name):
        return withdrawn.any_of(in_table(dataset, path.name, path.read_bytes()))
    return mine and mentions(dataset, path.read_bytes(), withdrawn)


def _partial_outputs(root: Path) -> tuple[Path, ...]:
    folders = [root / name for name in ("data", "models", "reports")]
    found = (path for folder in folders for kind in ("part", "old") for path in folder.glob(f"**/.*.{kind}"))
    return tuple(sorted(found))


def _pages(root: Path, dataset: str) -> Iterator[Path]:
    """Yield the pages and lists that flows and stages write outside DVC's outputs."""
    reports = Paths(dataset).reports
    for folder in (reports / "ingest", reports / "drift", Path("reports/data-docs"), Path("reports/decisions")):
        yield from _files(root / folder)
    yield from _files(root / "dvc_plots")


def _lists_unknown_patients(dataset: Dataset, path: Path) -> bool:
    """Return whether a list of rejected recordings has a name that does not tell the patient.

    Such a recording came with tables of which nothing was kept, so that it may be the patient's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row][1:]
    except (OSError, ValueError, csv.Error):
        return True
    return any(name and dataset.patient_of(name) is None for name in names)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
