"""The steps of a retraining, without Prefect."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auscult.core import params as parameters
from auscult.core.errors import unknown_name
from auscult.core.paths import ADDED_DIR, Paths
from auscult.core.sections import Params
from auscult.core.storage import read_json, write_json
from auscult.publishing import push
from auscult.publishing.journal import Entry, Journal
from auscult.publishing.pull_request import open_pull_request
from auscult.registry.gate import allowance
from auscult.registry.gate.judging import judge
from auscult.registry.gate.noise import find_noise, load_noise
from auscult.registry.gate.page import markdown, write_page
from auscult.registry.gate.rule import Decision
from auscult.registry.outputs import digest_of_model
from auscult.registry.versions import DECIDED, LOSS, Registry
from auscult.settings import FILE, Settings, load
from auscult.versioning import worktree
from auscult.versioning.commands import CommandError, follow, git, succeeds

#: Records of decisions; git ignores the folder, and MLflow keeps a copy with the model.
DECISIONS = Path("reports/decisions")


@dataclass(frozen=True)
class Decided:
    """The decision on one experiment."""

    experiment: str
    #: Version number of the challenger.
    version: str
    decision: Decision
    #: Number of the version that it was compared with; ``None`` if there was none.
    champion: str | None = None

    def promotion(self) -> dict[str, Any]:
        """Return the promotion as the journal keeps it."""
        return {
            "experiment": self.experiment,
            "version": self.version,
            "champion": self.champion,
            "decision": {
                "rule": self.decision.rule,
                "reason": self.decision.reason,
                "loss": self.decision.details.get("loss", 0.0),
            },
        }


def run_name(flow: str, now: datetime, flow_run_id: str) -> str:
    """Return the name of a run and its worktree, such as ``retrain-2026-11-21-0300-1a2b3c``."""
    return f"{flow}-{now:%Y-%m-%d-%H%M}-{flow_run_id.replace('-', '')[-6:] or 'manual'}"


def fetch(root: Path) -> str:
    """Fetch from git's remote without changing a local branch; return a line that says what was done."""
    remote = push.git_remote(root)
    if remote is None:
        return "no git remote to fetch from"
    git(root, "fetch", "--quiet", remote)
    return f"fetched {remote}"


def newest(root: Path) -> str:
    """Return the remote's default branch, which holds what was merged; without a remote ``HEAD``."""
    remote = push.git_remote(root)
    if remote is None:
        return "HEAD"
    branch = f"{remote}/{default_branch(root)}"
    return branch if succeeds(root, "git", "rev-parse", "--verify", "--quiet", branch) else "HEAD"


def begin(root: Path, journal: Journal, entry: Entry, revision: str) -> tuple[Entry, Path]:
    """Make the worktree of a run and fill it with the outputs that the revision's lock records."""
    entry, workspace = make_worktree(root, journal, entry, revision)
    worktree.fill(workspace)
    return entry, workspace


def make_worktree(root: Path, journal: Journal, entry: Entry, revision: str) -> tuple[Entry, Path]:
    """Record a run's worktree in the journal, then make it."""
    entry = journal.write(replace(entry, worktree=str((root / worktree.FOLDER / entry.name).resolve())))
    return entry, worktree.create(root, entry.name, revision)


def read_params(root: Path, workspace: Path) -> tuple[Params, Settings]:
    """Return the parameters of the revision in *workspace*, and the settings of the checkout *root* that judge it.

    Raises
    ------
    ParameterError
        An experiment that is in service does not exist in the revision.
    """
    params, (_, settings) = parameters.load(workspace / parameters.FILE), load(root)
    where, next_step = "the revision's params.yaml: experiments", "retrain another revision"
    for name in settings.retrain.experiments:
        if name not in params.experiments:
            raise unknown_name("experiment", name, params.experiments, where=where, next_step=next_step)
    return params, settings


def choose(settings: Settings, asked: Sequence[str] | None) -> list[str]:
    """Return the experiments to retrain and decide on: those asked for, by default all that are in service.

    Raises
    ------
    ParameterError
        One is not in service.
    """
    in_service = settings.retrain.experiments
    where, next_step = f"{FILE}: retrain.experiments", "name one of these, or add it there"
    for name in asked or ():
        if name not in in_service:
            raise unknown_name("experiment in service", name, in_service, where=where, next_step=next_step)
    return [name for name in in_service if not asked or name in asked]


def stages_of(experiments: Sequence[str]) -> list[str]:
    """Return the last stages that decisions on these experiments need."""
    return ["describe", *(f"evaluate@{name}" for name in experiments)]


def push_targets(workspace: Path, stages: Sequence[str]) -> list[str]:
    """Return what to push after a retraining up to some stages: their outputs, and the additions; empty for all.

    Outputs of other experiments, as the lock of an earlier run names them, may be in no cache here.
    """
    additions = sorted(str(file.relative_to(workspace)) for file in (workspace / ADDED_DIR).rglob("*.dvc"))
    return [*stages, *additions] if stages else []


def track(workspace: Path, log: Callable[[str], None]) -> None:
    """Record the trained models in MLflow."""
    follow(workspace, [sys.executable, "-m", "auscult", "models", "track"], log)


def decide_on(root: Path, workspace: Path, params: Params, settings: Settings, experiment: str) -> Decided:
    """Make the retrained model of an experiment the challenger, and decide whether it replaces the champion."""
    registry = Registry(root)
    digest = digest_of_model(workspace / Paths(params.dataset).model(experiment))
    challenger = registry.by_digest(params.dataset, experiment, digest)
    registry.check_recorded(params.dataset, experiment)
    champion = registry.champion(params.dataset, experiment)
    if champion is None or champion.number != challenger.number:
        registry.set_challenger(params.dataset, experiment, challenger)
    task, in_service = params.experiments[experiment].task, len(settings.retrain.experiments)
    noise = find_noise(load_noise(workspace, params.dataset), experiment)
    number, loss = (champion.number, champion.tags.get(LOSS, "")) if champion is not None else (None, "")
    opponent = f"{number or 'constant'} on {read_json(workspace / Paths(params.dataset).version)['name']}"
    notes = {each.number: each.tags.get(DECIDED, "{}") for each in registry.versions(params.dataset, experiment)}
    today = datetime.now(UTC).date()
    spent = allowance.spent(notes, challenger.number, opponent, loss, today)
    decision = judge(workspace, params.dataset, task, challenger, champion, settings.gate, in_service, noise, spent)
    if error := decision.details.get("error"):
        note = allowance.noted(notes[challenger.number], opponent, error, today)
        registry.note_decision(params.dataset, experiment, challenger, note)
    return Decided(experiment, challenger.number, decision, number)


def keep_decision(root: Path, run: str, dataset: str, decided: Decided) -> dict[str, Any]:
    """Write the record of a decision as JSON and HTML, store both with the model, and return the record.

    Nothing is written if the model has not changed.
    """
    record = {"dataset": dataset, "experiment": decided.experiment, "run": run, **decided.decision.to_json()}
    if page := page_of(run, dataset, decided):
        folder = root / page.parent
        write_json(folder / "decision.json", record)
        write_page(root / page, record)
        registry = Registry(root)
        registry.keep_record(registry.version(dataset, decided.experiment, decided.version), folder)
    return record


def page_of(run: str, dataset: str, decided: Decided) -> Path | None:
    """Return the page of a decision, relative to the repository; ``None`` if the model has not changed."""
    unchanged = decided.decision.rule == "unchanged"
    return None if unchanged else DECISIONS / dataset / decided.experiment / run / "index.html"


def message(dataset: str, revision: str, decided: Sequence[Decided]) -> str:
    """Return the commit message: what was promoted, and why."""
    promoted = [each.experiment for each in decided if each.decision.outcome == "promote"]
    lines = [f"retrain: {', '.join(promoted)} of {dataset} promoted", "", f"Retrained at {revision}."]
    for each in decided:
        lines += ["", f"{each.experiment}, version {each.version}: {each.decision.outcome}", each.decision.reason]
    return "\n".join(lines) + "\n"


def name_branch(root: Path, entry: Entry, dataset: str) -> Entry:
    """Choose a free branch name for the results of today's retraining."""
    branch = push.free_branch(root, f"retrain/{datetime.now(UTC):%Y-%m-%d}")
    return replace(entry, branch=branch, dataset=dataset)


def commit_results(
    root: Path, journal: Journal, entry: Entry, message: str, promoted: Sequence[Decided], *, data_pushed: bool
) -> Entry:
    """Commit the lock and the small outputs in the worktree, and record in the journal what is to be promoted."""
    paths = Paths(entry.dataset)
    results = ["dvc.lock", *(path.as_posix() for path in (paths.reports / "metrics", paths.card, paths.version))]
    commit = push.commit(Path(entry.worktree), message, [*results, ADDED_DIR.as_posix()])
    promotions = [each.promotion() for each in promoted]
    remote = destination(root, data_pushed=data_pushed)
    return journal.write(replace(entry, commit=commit, remote=remote, promotions=promotions, state="publishing"))


def destination(root: Path, *, data_pushed: bool) -> str:
    """Return the git remote to publish to; empty for none: without pushed data the commit is of no use elsewhere."""
    return (push.git_remote(root) or "") if data_pushed else ""


def publish_branch(root: Path, entry: Entry) -> str:
    """Push the branch to its remote; return a line that says what was done."""
    push.publish(root, entry.remote, entry.branch, entry.commit)
    if not entry.remote:
        return (
            f"the branch {entry.branch} stays here: git has no remote, or DVC has no shared remote"
            " (a folder inside this repository is not shared): docs/remotes.md"
        )
    return f"pushed {entry.branch} to {entry.remote}"


def propose(root: Path, entry: Entry, title: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Open a pull request into the default branch; return its address, or a line that says why there is none."""
    body = "\n\n".join(markdown(record) for record in records)
    return open_pull_request(root, entry.branch, default_branch(root), title, body)


def default_branch(root: Path) -> str:
    """Return the remote's default branch, as this clone or else the remote knows it; ``main`` if neither does."""
    remote = push.git_remote(root)
    if remote is None:
        return "main"
    with suppress(CommandError):
        return git(root, "rev-parse", "--abbrev-ref", f"{remote}/HEAD").partition("/")[2]
    with suppress(CommandError):
        head = git(root, "ls-remote", "--symref", remote, "HEAD")
        if head.startswith("ref: refs/heads/"):
            return head.removeprefix("ref: refs/heads/").partition("\t")[0]
    return "main"
