"""Find what the project keeps of withdrawn patients beside DVC's outputs: caches, downloads, pages, partial outputs."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auscult import datasets
from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR, DATA_DIR, Paths
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.patient_lookup import (
    file_mentions,
    mentions,
    patients_in_deliveries,
    patients_in_table,
)
from auscult.datasets import Dataset
from auscult.versioning.commands import git


@dataclass
class Removal:
    """Files or folders of one kind to remove.

    Attributes
    ----------
    what
        Description for the terminal.
    paths
        The files and folders; a killed call may have removed some of them already.
    size
        Size of the files in bytes, before they are removed.
    """

    what: str
    paths: Sequence[Path]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        files = (file for path in self.paths for file in ([path] if path.is_file() else path.rglob("*")))
        self.size = sum(file.lstat().st_size for file in files if file.is_file())

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
        Names of the patients' recordings that do not identify the patient.
    """
    cache, reports = root / CACHE_DIR, root / Paths(dataset.name).reports
    found: dict[str, Iterable[Path]] = {
        f"cached arrays of recordings that are in no kept data ({CACHE_DIR})": [
            path for path in cache.glob("*/*/*.f32") if path.name[:64] not in known_audio
        ],
        f"finished trials and baselines, which record no patients ({CACHE_DIR}/search, {CACHE_DIR}/baselines): an"
        " interrupted search starts again": [*cache.glob("search/*"), *cache.glob("baselines/*")],
        "model outputs for training recordings, cached for drift monitoring": [
            path for path in cache.glob("drift/*.parquet") if _observes(path, withdrawn)
        ],
        "downloads that hold the patient: they are fetched again when they are needed": _downloads(
            cache, dataset, withdrawn
        ),
        "lists of rejected recordings": cache.glob(f"rejects-{dataset.name}.csv"),
        "partial outputs of killed runs": [
            path for name in ("data", "models", "reports") for path in (root / name).glob("**/.*") if _is_partial(path)
        ],
        "working copies of DVC experiments": [
            path for at in ("tmp*", "*/tmp*") for path in (root / ".dvc/tmp/exps").glob(at)
        ],
    }
    # The pages and lists that flows and stages write outside DVC's outputs.
    folders = (
        reports / "ingest",
        reports / "drift",
        reports / "hard-examples",
        root / "reports/data-docs",
        root / "reports/decisions",
    )
    pages = (path for folder in (*folders, root / "dvc_plots") for path in folder.rglob("*") if path.is_file())
    for path in sorted(pages):
        unknown = path.is_relative_to(folders[0]) and _lists_unknown_patients(dataset, path)
        if unknown or file_mentions(dataset, path, withdrawn, aliases):
            found[f"names, or may name, the patient's recordings: {path.relative_to(root)}"] = [path]
    removals = (Removal(what, sorted(paths)) for what, paths in found.items())
    return [removal for removal in removals if removal.paths]


def unnamed_outputs(root: Path, dataset: str, outs: Collection[str]) -> list[str]:
    """Return the outputs of experiments that the parameters no longer name.

    No stage makes them again without the patient; features and balanced tables are written as a whole. The user must
    remove them, as the report depends on their folders.

    Parameters
    ----------
    outs
        Paths of the outputs that the stages make.
    """
    paths = Paths(dataset)
    folders = (paths.model("x").parent, paths.evaluation("x").parent)
    found = (path for folder in folders for path in (root / folder).glob("[!.]*"))
    places = sorted(path.relative_to(root).as_posix() for path in found)
    return [place for place in places if not any(out == place or out.startswith(f"{place}/") for out in outs)]


def left_to_user(root: Path, dataset: Dataset, withdrawn: Withdrawals, aliases: Collection[str] = ()) -> list[str]:
    """Return, as lines of text, what holds the patient's recordings or names and only the user may remove."""
    folders = [root / DATA_DIR / name / dataset.name for name in ("inbox", "recent")]
    inside = [each for folder in folders for each in patients_in_deliveries(dataset, folder).items()]
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


def _observes(table: Path, withdrawn: Withdrawals) -> bool:
    """Return whether cached model outputs hold a patient; true if the table is damaged or of an older version."""
    try:
        return not withdrawn.keys.isdisjoint(read_table(table)["patient"].dropna())
    except (DataError, KeyError):
        return True


def _is_partial(path: Path) -> bool:
    return path.suffix in (".part", ".old")


def _downloads(cache: Path, dataset: Dataset, withdrawn: Withdrawals) -> list[Path]:
    """Return downloaded archives and tables with the notes beside them, except those of other data sets."""
    others = {file.name for name in datasets.names() if name != dataset.name for file in datasets.load(name).files}
    own = {file.name for file in dataset.files}
    found: list[Path] = []
    for path in sorted((cache / "downloads").glob("*")):
        name = path.name.removesuffix(".json").removesuffix(".part")
        if path.is_file() and name not in others and not path.name.endswith(".json"):
            partial = path.name.endswith(".part") and name in own  # its content is unknown
            if partial or _download_holds(path, dataset, withdrawn, own=name in own):
                found += [path, path.with_name(f"{path.name}.json")]
    return [path for path in found if path.exists()]


def _download_holds(path: Path, dataset: Dataset, withdrawn: Withdrawals, *, own: bool) -> bool:
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return withdrawn.any_of({dataset.patient_of(name) for name in archive.namelist()})
        except (zipfile.BadZipFile, OSError):
            return own
    if dataset.is_table(path.name):
        return withdrawn.any_of(patients_in_table(dataset, path.name, path.read_bytes()))
    return own and mentions(dataset, path.read_bytes(), withdrawn)


def _lists_unknown_patients(dataset: Dataset, path: Path) -> bool:
    """Return whether a list of rejected recordings has a name that does not identify the patient.

    Such a recording came with tables of which nothing was kept, so that it may be the patient's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row][1:]
    except (OSError, ValueError, csv.Error):
        return True
    return any(name and dataset.patient_of(name) is None for name in names)
