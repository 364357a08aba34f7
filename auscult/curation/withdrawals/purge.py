"""``python -m auscult.cli data clear``: remove what older versions, caches, remotes and MLflow hold of withdrawn patients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import WITHDRAWN_DIR, Paths
from auscult.core.storage import read_table
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals import history, learned
from auscult.curation.withdrawals.local_artifacts import dropped
from auscult.curation.withdrawals.patient_lookup import patients
from auscult.curation.withdrawals.plan import Plan, make
from auscult.datasets import Dataset, load
from auscult.publishing.journal import Journal
from auscult.validation.additions import batches
from auscult.versioning import graph, locks
from auscult.versioning.commands import git

#: What a commit must hold before anything is removed that older ones need.
_COMMITTED = ("dvc.lock", "data/added", WITHDRAWN_DIR.as_posix())


def clear(
    *,
    dry_run: bool = False,
    remote: str | None = None,
    retire: bool = False,
    root: Path = Path(),
    tell: Callable[[str], None] = print,
) -> None:
    """Remove it, for all patients who have withdrawn from the data set that ``params.yaml`` names.

    A kill at any moment leaves something that the next call removes.

    Parameters
    ----------
    dry_run
        Only say what would go.
    remote
        Name of the only remote of DVC's to be cleared; all of them where it is ``None``.
    retire
        Remove models that are in service as well, though nothing replaces them.

    Raises
    ------
    AuscultError
        The workspace holds a patient still, a model in service has learned from one, or, when everything else is
        done, a remote could not be cleared.
    """
    root = root.resolve()
    dataset = load(parameters.load(root / parameters.FILE).dataset)
    withdrawn = withdrawals.read(dataset.name, root)
    if not withdrawn:
        raise DataError(
            f"nobody has withdrawn from the data set {dataset.name}",
            where=str(Paths(dataset.name).withdrawn),
            next_step="python -m auscult.cli data withdraw PATIENT; params.yaml says which data set is meant",
        )
    with ExitStack() as held:
        held.enter_context(locks.only_run(root / ".dvc/tmp"))
        for flow in ("retrain", "ingest"):
            journal = Journal(root, flow)
            held.enter_context(journal.held("flows data clear"))
            if not dry_run and (done := journal.recover()):
                tell(done)
        _check_workspace(dataset, withdrawn, root)
        _check_service(dataset, withdrawn, root, retire=retire)
        with make(root, dataset, withdrawn, remote) as plan:
            _carry_out(plan, dry_run=dry_run, tell=tell)


def _carry_out(plan: Plan, *, dry_run: bool, tell: Callable[[str], None]) -> None:
    for line in plan.lines():
        tell(line)
    if dry_run:
        tell("Nothing was removed: that was --dry-run")
        return
    problems = plan.carry_out()
    for line in plan.not_ours:
        tell(f"Not removed: {line}")
    if problems:
        raise AuscultError(
            "everything else is done, but " + "; ".join(problems),
            next_step="run the same command again when it can be reached and written to, or remove that by hand",
        )
    tell("Done. What this cannot reach: docs/withdrawals.md")


def _check_workspace(dataset: Dataset, withdrawn: Withdrawals, root: Path) -> None:
    """Refuse while the outputs here, or the commit that is checked out, still hold somebody."""
    paths = Paths(dataset.name)
    for folder in batches(root / paths.added):
        if withdrawn.any_of(patients(dataset, folder)):
            raise DataError(
                "an addition holds a patient who has withdrawn; it may have come with a merge",
                where=str(folder.relative_to(root)),
                next_step="python -m auscult.cli data withdraw PATIENT again, which writes it anew without them",
            )
    stale = sorted(graph.stale(root))
    table = root / paths.manifest / "recordings.parquet"
    if stale or not table.exists() or withdrawn.any_of(read_table(table)["patient_id"].unique()):
        raise DataError(
            f"the outputs here may hold the patient, not up to date: {', '.join(stale) or 'there is no manifest'}",
            where=str(root),
            next_step="make repro (or dvc repro), then commit dvc.lock and the metrics, then the same command again",
        )
    outs = {out.path for made in history.present(root).made for out in made.outs}
    if left := dropped(root, dataset.name, outs):
        raise DataError(
            "outputs of experiments that were dropped lie here, and nothing makes them again without the patient",
            where=left[0],
            next_step=f"rm -r {' '.join(left)}; then make repro, as the report looks into these folders, and commit",
        )
    changed = git(root, "status", "--porcelain", "--", *_COMMITTED)
    if changed:
        raise DataError(
            "what was made without the patient is not committed; older commits are about to lose their data",
            where=", ".join(line[3:] for line in changed.splitlines()[:3]),
            next_step=f"git add {' '.join(_COMMITTED)} reports && git commit, then the same command again",
        )


def _check_service(dataset: Dataset, withdrawn: Withdrawals, root: Path, *, retire: bool) -> None:
    """Refuse while a model in service has learned from somebody who has withdrawn."""
    serving = [each for each in learned.registered(dataset.name, withdrawn.keys, root) if each.champion]
    if serving and not retire:
        names = ", ".join(f"{each.experiment} (version {each.version.number})" for each in serving)
        raise AuscultError(
            f"a model in service has learned from a patient who has withdrawn: {names}",
            where="mlflow.db",
            next_step="python -m auscult.cli retrain; or put the new one into service yourself:"
            f" python -m auscult.cli promote {serving[0].experiment} --version N --because 'a withdrawal'"
            " (python -m auscult.cli champions); or, to have nothing in service: the same command with --retire",
        )
