"""What goes, worked out before anything does: the same lines for a dry run and for a real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from auscult import datasets
from auscult.core.errors import unknown_name
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals import history, local_artifacts, mlflow_runs, objects, patient_index, run_cache
from auscult.curation.withdrawals.history import Version
from auscult.curation.withdrawals.local_artifacts import Removal
from auscult.curation.withdrawals.mlflow_runs import Tracked
from auscult.curation.withdrawals.objects import Sorted, Store
from auscult.curation.withdrawals.patient_lookup import file_mentions
from auscult.curation.withdrawals.run_cache import Runs
from auscult.datasets import Dataset
from auscult.versioning.commands import git
from auscult.versioning.lockfile import LOCK

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB


@dataclass
class Place:
    """DVC's cache, or a remote: the objects and entries of the run cache there that go."""

    name: str
    odb: HashFileDB
    objects: set[str]
    runs: Runs

    def remove(self, last: list[set[str]]) -> None:
        """Remove them, the run cache first: it must not name what is no longer there; evidence goes last."""
        self.runs.remove()
        for some in patient_index.ordered(self.objects, last):
            objects.remove(self.odb, some)


@dataclass
class Plan:
    """Everything that goes.

    Attributes
    ----------
    problems
        What could not be looked at, in words: remotes that cannot be reached.
    not_ours
        What only a person may remove, in words.
    """

    root: Path
    dataset: str
    patients: int
    sorted: Sorted
    branches: list[str]
    evidence: list[set[str]]
    removals: list[Removal]
    tracked: Tracked
    notes: Removal
    places: list[Place] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_ours: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """What goes, and what is lost with it, for the terminal."""
        yield f"Data set {self.dataset}; patients who have withdrawn: {self.patients}. What goes:"
        for removal in self.removals:
            yield f"  {len(removal.paths):6d} files, {_megabytes(removal.size)}: {removal.what}"
        found = self.tracked
        if found:
            versions = ", ".join(f"{each.experiment} version {each.version.number}" for each in found.versions)
            said = versions or "of earlier removals"
            yield f"  {len(found.runs):6d} runs, {len(found.models)} logged models in MLflow: {said}"
        for place in self.places:
            yield f"  {len(place.objects):6d} objects and {len(place.runs)} entries of the run cache in {place.name}"
        yield f"  {len(self.notes.paths):6d} folders with DVC's notes on file names (DVC makes them again)"
        commits, unknown = self.sorted.holding, self.sorted.unknown
        if commits:
            span = f"{commits[-1][:9]} to {commits[0][:9]}"
            yield f"{len(commits)} commits ({span}) can no longer be checked out with all of their data"
        if unknown:
            yield f"Of {unknown} of them it cannot be known whether they hold the patient: they are taken to"
        if self.branches:
            yield f"Among them the newest commits of: {', '.join(self.branches)}; merge or rebase and repro them"
        for line in self.problems:
            yield f"Not looked at: {line}"

    def carry_out(self) -> list[str]:
        """Remove it all; returns what could not be done, in words.

        Evidence goes last everywhere: what tells that a version holds the patient, and MLflow's versions that say who
        learned from them, so that the next call finds what a killed one left.
        """
        problems = list(self.problems)
        for removal in self.removals:
            removal.remove()
        if self.tracked:
            outside = mlflow_runs.remove(self.tracked, self.dataset, self.root)
            problems += [f"MLflow's artifacts outside the repository are left: {uri}" for uri in outside]
        for place in reversed(self.places):  # the remotes first: what they hold is looked up in the cache
            try:
                place.remove(self.evidence)
            except Exception as error:  # whatever this kind of remote raises
                if place is self.places[0]:
                    raise
                problems.append(f"{place.name} could not be cleared ({type(error).__name__}: {error})")
        self.notes.remove()
        return problems


@contextmanager
def make(root: Path, dataset: Dataset, withdrawn: Withdrawals, remote: str | None) -> Iterator[Plan]:
    """Work it out, and hold DVC's lock until it is done.

    Raises
    ------
    ParameterError
        DVC has no remote of that name.
    DataError
        What is in a folder that is to stay cannot be known.
    """
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        names = list(repo.config["remote"])
        if remote is not None and remote not in names:
            raise unknown_name("remote", remote, names, where=".dvc/config", next_step="dvc remote list")
        with repo.lock:
            yield _plan(repo, root, dataset, withdrawn, names if remote is None else [remote])


def _plan(repo: Repo, root: Path, dataset: Dataset, withdrawn: Withdrawals, remotes: list[str]) -> Plan:
    reached, problems = reach(repo, root, remotes)
    cache = repo.cache.local
    store = Store(cache, reached.values())
    versions, kept = history.versions(root), _kept(root, dataset)
    found = objects.sort(store, versions, kept, dataset, withdrawn)
    # What is checked out is up to date, whatever its lock says besides of experiments that were dropped.
    head = git(root, "rev-parse", "HEAD")
    now = next((version.commits for version in versions if head in version.commits), ())
    found.holding = history.newest_first(root, set(found.holding).difference(now))
    copies = local_artifacts.lock_copies(root, dataset.name)
    removals = local_artifacts.leftovers(root, dataset, withdrawn, _known_audio(root, store, found), found.called)
    if copies:
        removals.append(Removal("copies of dvc.lock: the next make repro writes them again", copies))
    plan = Plan(
        root=root,
        dataset=dataset.name,
        patients=len(withdrawn),
        sorted=found,
        branches=history.refs_of(root, found.holding),
        evidence=patient_index.evidence(store, versions, dataset.name),
        removals=removals,
        tracked=mlflow_runs.tracked(dataset.name, withdrawn.keys, root),
        notes=run_cache.folders(repo, root),
        problems=problems,
        not_ours=local_artifacts.not_ours(root, dataset, withdrawn, found.called)
        + [
            f"{place}: another worktree, with outputs of its own"
            for place in local_artifacts.checkouts(root, dataset.name)
        ],
    )
    there = objects.in_cache(cache)
    own = Path(repo.cache.local_cache_dir).resolve().is_relative_to(root)
    # A cache that is the repository's own holds nothing for anybody else: what no version names may be of a run that
    # was never committed, with the patient in it. A shared one is somebody else's as well.
    gone = there - found.keep if own else there & found.gone
    old = run_cache.old_listings(
        Path(repo.cache.local_cache_dir),
        found.keep if own else None,
        lambda path: file_mentions(dataset, path, withdrawn, found.called),
    )
    plan.removals += [old] if old.paths else []
    runs = run_cache.runs(cache.fs, repo.stage_cache.cache_dir, gone=found.gone, keep=found.keep if own else None)
    plan.places.append(Place("DVC's cache", cache, gone, runs))
    for name, odb in reached.items():
        try:
            here = set(odb.list_oids_exists(found.gone)) if found.gone else set()
            folder = odb.fs.join(repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix").path, "runs")
            plan.places.append(Place(f"the remote {name}", odb, here, run_cache.runs(odb.fs, folder, gone=found.gone)))
        except Exception as error:  # whatever this kind of remote raises
            problems.append(f"the remote {name} ({type(error).__name__}: {error})")
    return plan


def reach(repo: Repo, root: Path, names: list[str]) -> tuple[dict[str, HashFileDB], list[str]]:
    """Remotes by name, as far as they can be reached; and those that cannot, in words."""
    reached: dict[str, HashFileDB] = {}
    problems: list[str] = []
    for name in names:
        try:
            odb = repo.cloud.get_remote_odb(name, "data clear")
            if odb.fs.protocol == "local" and not (folder := Path(odb.path).parents[1]).exists():
                if folder.is_relative_to(root.resolve()):  # this clone's own, into which nothing was ever pushed
                    continue
                raise FileNotFoundError(str(folder))
            odb.fs.exists(odb.path)
            reached[name] = odb
        except Exception as error:  # whatever this kind of remote raises
            problems.append(f"the remote {name} ({type(error).__name__}: {error})")
    return reached, problems


def _kept(root: Path, dataset: Dataset) -> list[Version]:
    """The workspace, and the last outputs of each other data set, which ``dvc.lock`` has forgotten."""
    kept = [history.present(root)]
    for name in datasets.names():
        if name != dataset.name:
            for path in local_artifacts.lock_copies(root, name):
                if path.name != "damaged.lock":
                    kept.append(Version(tuple(history.recorded(str(LOCK), path))))
    return kept


def _known_audio(root: Path, store: Store, found: Sorted) -> set[str]:
    """SHA-256 of the audio files of every recording that stays: here, and in versions that stay."""
    known: set[str] = set()
    for path in (root / "data").glob("*/manifest/recordings.parquet"):
        known |= set(read_table(path)["sha256"])
    for md5 in found.recordings:
        known |= store.column(md5, "sha256") or frozenset()
    return known


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
