"""``auscult data purge``: remove what older versions, caches, remotes and MLflow hold of withdrawn patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult import datasets
from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.errors import AuscultError, DataError, unknown_name
from auscult.core.paths import CORRECTIONS_DIR, WITHDRAWN_DIR, Paths
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals import learned_models, objects
from auscult.curation.withdrawals.learned_models import Tracked
from auscult.curation.withdrawals.local_artifacts import Removal, left_to_user, local_artifacts, unnamed_outputs
from auscult.curation.withdrawals.objects import Partition, partition, removal_order, run_cache_entries
from auscult.curation.withdrawals.patient_lookup import file_mentions, patient_index, patients_in_folder
from auscult.datasets import Dataset
from auscult.publishing.journal import Journal
from auscult.validation.additions import batches
from auscult.versioning import clone, dvc_internals, graph, history, lockfile, locks
from auscult.versioning.commands import git
from auscult.versioning.dvc_internals import ObjectStore, Repository
from auscult.versioning.dvc_objects import ObjectReader, reachable_remotes
from auscult.versioning.history import Version

#: To be raised when a key of :meth:`Plan.to_json` changes its meaning.
SCHEMA = 1
#: What must be committed before anything is removed that older commits need.
_COMMITTED = ("dvc.lock", "data/added", WITHDRAWN_DIR.as_posix(), CORRECTIONS_DIR.as_posix())


def purge(
    *,
    tell: Callable[[str], None],
    dry_run: bool = False,
    remote: str | None = None,
    retire: bool = False,
    root: Path = Path(),
) -> Plan:
    """Remove everything that is left of all patients who have withdrawn from the data set of ``params.yaml``.

    After a kill at any moment the next call removes the rest.

    Parameters
    ----------
    tell
        Receives each line for the terminal, such as ``print``.
    dry_run
        Report what would be removed, and remove nothing.
    remote
        Name of DVC's only remote to purge; by default all.
    retire
        Remove models in service as well, though nothing replaces them.

    Returns
    -------
    Plan
        What was removed, or would be. The caller must call :meth:`Plan.check`.

    Raises
    ------
    AuscultError
        The workspace still holds a patient, a model in service has learned from one, this clone lacks commits, or DVC
        is of a version that is not tested.
    """
    root = root.resolve()
    dataset = datasets.load(parameters.load(root / parameters.FILE).dataset)
    withdrawn = withdrawals.read(dataset.name, root)
    if not withdrawn:
        raise DataError(
            f"no patient has withdrawn from the data set {dataset.name}",
            where=str(Paths(dataset.name).withdrawn),
            next_step="auscult data withdraw PATIENT; params.yaml names the data set",
        )
    dvc_internals.check_version()
    with ExitStack() as held:
        held.enter_context(locks.only_run(root / locks.FOLDER))
        for flow in ("retrain", "ingest"):
            journal = Journal(root, flow)
            held.enter_context(journal.held("auscult data purge"))
            if not dry_run and (done := journal.recover()):
                tell(done)
        _check_workspace(dataset, withdrawn, root)
        _check_service(dataset, withdrawn, root, retire=retire)
        plan = held.enter_context(planned(root, dataset, withdrawn, remote))
        for line in plan.lines():
            tell(line)
        if dry_run:
            tell("Nothing was removed: that was --dry-run")
            return plan
        plan.carry_out()
        for line in plan.left:
            tell(f"Not removed: {line}")
    return plan


@dataclass
class StorePurge:
    """What to remove from DVC's cache or from a remote: objects, and entries of the run cache."""

    store: ObjectStore
    objects: set[str]
    runs: list[str]

    def carry_out(self, index: list[set[str]]) -> None:
        """Remove it, the run cache first: it must not name objects that are gone."""
        self.store.remove_run_cache(self.runs)
        for md5s in removal_order(self.objects, index):
            self.store.remove(md5s)


@dataclass
class Plan:
    """Everything to remove, worked out before anything is removed: a dry run prints the same lines.

    Attributes
    ----------
    branches
        Branches and tags whose newest commit loses data.
    index
        The objects that tell whether a version holds a patient; they are removed last.
    state
        DVC's databases of file names.
    left
        What only the user may remove, as text.
    stores
        The cache first, then the remotes.
    problems
        What could not be reached or removed, as text.
    carried_out
        Whether it was removed.
    """

    root: Path
    dataset: str
    patients: int
    partition: Partition
    branches: list[str]
    index: list[set[str]]
    removals: list[Removal]
    tracked: Tracked
    state: Removal
    left: list[str]
    stores: list[StorePurge]
    problems: list[str]
    carried_out: bool = False

    def lines(self) -> Iterator[str]:
        """Yield what is removed, and what is lost with it, for the terminal."""
        yield f"Data set {self.dataset}; patients who have withdrawn: {self.patients}. To be removed:"
        for removal in self.removals:
            yield f"  {len(removal.paths):6d} files, {removal.size / 1e6:.1f} MB: {removal.what}"
        if self.tracked:
            versions = ", ".join(f"{each.experiment} version {each.version.number}" for each in self.tracked.versions)
            of = versions or "of earlier removals"
            yield f"  {len(self.tracked.runs):6d} runs, {len(self.tracked.models)} logged models in MLflow: {of}"
        for each in self.stores:
            yield f"  {len(each.objects):6d} objects and {len(each.runs)} entries of the run cache in {each.store.name}"
        yield f"  {len(self.state.paths):6d} folders with {self.state.what}"
        commits, unknown = self.partition.commits, self.partition.unknown
        if commits:
            span = f"{commits[-1][:9]} to {commits[0][:9]}"
            yield f"{len(commits)} commits ({span}) can no longer be checked out with all of their data"
        if unknown:
            yield f"Of {unknown} of them it is unknown whether they hold the patient: they are treated as if they did"
        if self.branches:
            yield f"Newest commits of branches among them: {', '.join(self.branches)}; merge or rebase and repro them"
        for line in self.problems:
            yield f"Not looked at: {line}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "dry_run": not self.carried_out,
            "patients": self.patients,
            "files": [{"what": r.what, "paths": len(r.paths), "bytes": r.size} for r in (*self.removals, self.state)],
            "mlflow": {
                "versions": [each.to_json() for each in self.tracked.versions],
                "runs": self.tracked.runs,
                "models": self.tracked.models,
            },
            "stores": [{"name": s.store.name, "objects": len(s.objects), "runs": len(s.runs)} for s in self.stores],
            "commits": self.partition.commits,
            "unknown_commits": self.partition.unknown,
            "branches": self.branches,
            "problems": self.problems,
            "left_to_user": self.left,
        }

    def carry_out(self) -> None:
        """Remove everything; what could not be removed is in *problems*.

        What tells that a version or a model holds the patient is removed last everywhere, so that the next call finds
        what a killed one left.
        """
        self.carried_out = True
        for removal in self.removals:
            removal.remove()
        if self.tracked:
            outside = learned_models.remove(self.tracked, self.dataset, self.root)
            self.problems += [f"MLflow's artifacts outside the repository are left: {uri}" for uri in outside]
        for each in reversed(self.stores):  # the remotes first: what they hold is looked up in the cache
            try:
                each.carry_out(self.index)
            except Exception as error:  # each kind of remote has errors of its own
                if each is self.stores[0]:
                    raise
                self.problems.append(f"{each.store.name} could not be purged ({type(error).__name__}: {error})")
        self.state.remove()

    def check(self) -> None:
        """Raise an :class:`AuscultError` if something was to be removed and could not be."""
        if self.carried_out and self.problems:
            raise AuscultError(
                "everything else is done, but " + "; ".join(self.problems),
                next_step="run the same command again when it can be reached and written to, or remove that yourself",
            )


@contextmanager
def planned(root: Path, dataset: Dataset, withdrawn: Withdrawals, remote: str | None) -> Iterator[Plan]:
    """Work out the plan, and hold DVC's lock while the block runs.

    Raises
    ------
    ParameterError
        DVC has no remote of that name.
    DataError
        The content of a folder that must be kept is unknown.
    AuscultError
        This clone lacks commits: it is shallow or of a single branch, or a remote of git has others.
    """
    with Repository(root) as repository:
        names = repository.remotes
        if remote is not None and remote not in names:
            raise unknown_name("remote", remote, names, where=".dvc/config", next_step="dvc remote list")
        with repository.locked():
            yield _plan(repository, root, dataset, withdrawn, names if remote is None else [remote])


def _plan(repository: Repository, root: Path, dataset: Dataset, withdrawn: Withdrawals, remotes: list[str]) -> Plan:
    versions, unasked = history.versions(root), clone.check_fetched(root)
    reached, problems = reachable_remotes(repository, root, remotes)
    problems += unasked
    cache = repository.cache
    reader = ObjectReader([cache, *reached.values()])
    found = partition(reader, versions, _kept(root, dataset), dataset, withdrawn)
    # The commit that is checked out is up to date, whatever its lock records of experiments that were dropped.
    head = git(root, "rev-parse", "HEAD")
    same_as_head = next((version.commits for version in versions if head in version.commits), ())
    found.commits = history.newest_first(root, set(found.commits).difference(same_as_head))
    removals = local_artifacts(root, dataset, withdrawn, _known_audio(root, reader, found), found.aliases)
    # A cache inside the repository is its own: objects that no version names may be of a run that was never committed,
    # with the patient in it, and are removed as well. Of a shared cache others may need them.
    keep = found.keep if repository.cache_folder.resolve().is_relative_to(root) else None
    old_listings = objects.old_listings(
        repository.cache_folder, keep, lambda path: file_mentions(dataset, path, withdrawn, found.aliases)
    )
    for what, paths in (
        ("copies of dvc.lock: the next auscult run writes them again", lockfile.older_copies(root, dataset.name)),
        ("listings of folders that DVC 3 wrote in the layout of DVC 2", old_listings),
    ):
        removals += [Removal(what, paths)] if paths else []
    cached = cache.all()
    gone = cached - keep if keep is not None else cached & found.purge
    stores = [StorePurge(cache, gone, run_cache_entries(cache, found.purge, keep))]
    for name, store in reached.items():
        try:
            stores.append(StorePurge(store, store.stored(found.purge), run_cache_entries(store, found.purge)))
        except Exception as error:  # each kind of remote has errors of its own
            problems.append(f"the remote {name} ({type(error).__name__}: {error})")
    return Plan(
        root=root,
        dataset=dataset.name,
        patients=len(withdrawn),
        partition=found,
        branches=history.refs_of(root, found.commits),
        index=patient_index(reader, versions, dataset.name),
        removals=removals,
        tracked=learned_models.tracked(dataset.name, withdrawn.keys, root),
        state=Removal("DVC's notes on file names (DVC makes them again)", repository.state_folders()),
        left=left_to_user(root, dataset, withdrawn, found.aliases),
        stores=stores,
        problems=problems,
    )


def _kept(root: Path, dataset: Dataset) -> list[Version]:
    """Return the workspace, and the last outputs of each other data set, which ``dvc.lock`` no longer records."""
    others = (name for name in datasets.names() if name != dataset.name)
    copies = (path for name in others for path in lockfile.older_copies(root, name))
    return [
        history.in_workspace(root),
        *(history.in_copy(path) for path in copies if path.name != lockfile.DAMAGED.name),
    ]


def _known_audio(root: Path, reader: ObjectReader, found: Partition) -> set[str]:
    """Return the SHA-256 of the audio files of every recording that is kept, in the workspace and in kept versions."""
    known: set[str] = set()
    for path in (root / "data").glob("*/manifest/recordings.parquet"):
        known |= set(read_table(path)["sha256"])
    for md5 in found.recordings:
        known |= reader.column(md5, "sha256") or frozenset()
    return known


def _check_workspace(dataset: Dataset, withdrawn: Withdrawals, root: Path) -> None:
    """Raise a :class:`DataError` if the outputs in the workspace, or the checked out commit, still hold a patient."""
    paths = Paths(dataset.name)
    for folder in batches(root / paths.added):
        if withdrawn.any_of(patients_in_folder(dataset, folder)):
            raise DataError(
                "an addition holds a patient who has withdrawn; it may have come with a merge",
                where=str(folder.relative_to(root)),
                next_step="auscult data withdraw PATIENT again, which writes the addition again without them",
            )
    stale = sorted(graph.stale(root))
    table = root / paths.manifest / "recordings.parquet"
    if stale or not table.exists() or withdrawn.any_of(read_table(table)["patient_id"].unique()):
        raise DataError(
            f"outputs are not up to date and may hold the patient: {', '.join(stale) or 'there is no manifest'}",
            where=str(root),
            next_step="auscult run (or dvc repro), then commit dvc.lock and the metrics, then the same command again",
        )
    outs = {out.path for entry in history.in_workspace(root).entries for out in entry.outs}
    if left := unnamed_outputs(root, dataset.name, outs):
        raise DataError(
            "there are outputs of experiments that were dropped, and no stage makes them again without the patient",
            where=left[0],
            next_step=f"rm -r {' '.join(left)}; then auscult run, as the report reads these folders, and commit",
        )
    if changed := git(root, "status", "--porcelain", "--", *_COMMITTED):
        raise DataError(
            "the data without the patient are not committed; older commits are about to lose their data",
            where=", ".join(line[3:] for line in changed.splitlines()[:3]),
            next_step=f"git add {' '.join(_COMMITTED)} reports && git commit, then the same command again",
        )


def _check_service(dataset: Dataset, withdrawn: Withdrawals, root: Path, *, retire: bool) -> None:
    """Raise an :class:`AuscultError` if a model in service has learned from a patient who has withdrawn."""
    serving = [each for each in learned_models.registered(dataset.name, withdrawn.keys, root) if each.champion]
    if serving and not retire:
        names = ", ".join(f"{each.experiment} (version {each.version.number})" for each in serving)
        raise AuscultError(
            f"a model in service has learned from a patient who has withdrawn: {names}",
            where="mlflow.db",
            next_step="auscult models retrain; or put the new one into service yourself:"
            f" auscult models promote {serving[0].experiment} --version N --because 'a withdrawal'"
            " (auscult models list); or, to leave nothing in service: the same command with --retire",
        )
