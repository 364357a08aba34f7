"""The steps of a retraining, without Prefect: what :mod:`flows.retrain` orders and a test can call."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from auscult.core import params as parameters
from auscult.core.errors import unknown_name
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import write_json
from auscult.publishing import push
from auscult.publishing.journal import Entry, Journal, advanced
from auscult.publishing.pull_request import open_pull_request
from auscult.registry.gate.judging import judge
from auscult.registry.gate.page import markdown, write_page
from auscult.registry.gate.rule import Decision
from auscult.registry.outputs import digest_of_model
from auscult.registry.versions import Registry
from auscult.settings import Settings, load
from auscult.versioning import worktree
from auscult.versioning.commands import CommandError, follow, git, succeeds

#: Where decisions lie in the repository; git ignores it, MLflow keeps a copy with the model.
DECISIONS = Path("reports/decisions")


@dataclass(frozen=True)
class Decided:
    """The decision on one experiment.

    Attributes
    ----------
    version
        The challenger's number in the registry.
    champion
        Number of the version that it was compared with, if any.
    """

    experiment: str
    version: str
    decision: Decision
    champion: str | None = None

    def promotion(self) -> dict[str, Any]:
        """What the journal keeps of a promotion."""
        kept = {"rule": self.decision.rule, "reason": self.decision.reason}
        return {
            "experiment": self.experiment,
            "version": self.version,
            "champion": self.champion,
            "decision": kept,
        }


def run_name(flow: str, now: datetime, flow_run_id: str) -> str:
    """Name of a run and its worktree, such as ``retrain-2026-11-21-0300-1a2b3c``."""
    return f"{flow}-{now:%Y-%m-%d-%H%M}-{flow_run_id.replace('-', '')[-6:] or 'byhand'}"


def fetch(root: Path) -> str:
    """Bring what is new on git's remote, without touching a branch here; returns what was done."""
    remote = push.git_remote(root)
    if remote is None:
        return "no git remote to fetch from"
    git(root, "fetch", "--quiet", remote)
    return f"fetched {remote}"


def newest(root: Path) -> str:
    """What others have merged: the remote's default branch; without a remote what is checked out here."""
    remote = push.git_remote(root)
    if remote is None:
        return "HEAD"
    branch = f"{remote}/{default_branch(root)}"
    return branch if succeeds(root, "git", "rev-parse", "--verify", "--quiet", branch) else "HEAD"


def begin(root: Path, journal: Journal, entry: Entry, revision: str) -> tuple[Entry, Path]:
    """Make the worktree, and fill it with what the revision's lock records."""
    entry = journal.write(advanced(entry, place=str((root / worktree.FOLDER / entry.name).resolve())))
    place = worktree.create(root, entry.name, revision)
    worktree.fill(place)
    return entry, place


def read_params(root: Path, place: Path) -> tuple[Params, Settings]:
    """The revision's parameters, and how it is judged: as the repository's own ``params.yaml`` says.

    Raises
    ------
    ParameterError
        An experiment that is in service does not exist in the revision.
    """
    params, (_, settings) = parameters.load(place / parameters.FILE), load(root)
    for name in settings.retrain.experiments:
        if name not in params.experiments:
            where = "the revision's params.yaml: experiments"
            raise unknown_name(
                "experiment", name, params.experiments, where=where, next_step="retrain another revision"
            )
    return params, settings


def track(place: Path, tell: Any) -> None:
    """Record what was trained in MLflow."""
    follow(place, [sys.executable, "-m", "auscult.registry"], tell)


def decide_on(root: Path, place: Path, params: Params, settings: Settings, experiment: str) -> Decided:
    """Put the retrained model of an experiment up against its champion."""
    registry = Registry(root)
    digest = digest_of_model(place / Paths(params.dataset).model(experiment))
    challenger = registry.by_digest(params.dataset, experiment, digest)
    champion = registry.champion(params.dataset, experiment)
    if champion is None or champion.number != challenger.number:
        registry.put_up(params.dataset, experiment, challenger)
    decision = judge(
        place,
        params.dataset,
        params.experiments[experiment].task,
        challenger,
        champion,
        settings.gate,
        len(settings.retrain.experiments),
    )
    return Decided(experiment, challenger.number, decision, champion.number if champion is not None else None)


def keep_decision(root: Path, run: str, dataset: str, decided: Decided) -> dict[str, Any]:
    """Write the decision as JSON and as a page, and keep both with the model; returns the record.

    Of a night in which nothing has changed nothing is kept.
    """
    record = {"dataset": dataset, "experiment": decided.experiment, "run": run, **decided.decision.to_json()}
    if decided.decision.rule != "unchanged":
        folder = root / DECISIONS / dataset / decided.experiment / run
        write_json(folder / "decision.json", record)
        write_page(folder / "index.html", record)
        registry = Registry(root)
        registry.keep_record(registry.version(dataset, decided.experiment, decided.version), folder)
    return record


def message(dataset: str, revision: str, decided: Sequence[Decided]) -> str:
    """The commit's message: what was promoted, and why."""
    promoted = [each.experiment for each in decided if each.decision.outcome == "promote"]
    lines = [f"retrain: {', '.join(promoted)} of {dataset} promoted", "", f"Retrained at {revision}."]
    for each in decided:
        lines += ["", f"{each.experiment}, version {each.version}: {each.decision.outcome}", each.decision.reason]
    return "\n".join(lines) + "\n"


def destination(root: Path, *, data_pushed: bool) -> str:
    """The git remote that a branch goes to; empty for none: a commit whose data nobody else can get stays here."""
    return (push.git_remote(root) or "") if data_pushed else ""


def hand_over_branch(root: Path, entry: Entry) -> str:
    """Push the branch where it is to go; returns what was done."""
    push.hand_over(root, entry.remote, entry.branch, entry.commit)
    if not entry.remote:
        return (
            f"the branch {entry.branch} stays here: git has no remote, or DVC none that others reach"
            " (one inside this repository is none): docs/remotes.md"
        )
    return f"pushed {entry.branch} to {entry.remote}"


def propose(root: Path, entry: Entry, title: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Open a pull request into the default branch; returns its address, or why there is none."""
    body = "\n\n".join(markdown(record) for record in records)
    return open_pull_request(root, entry.branch, default_branch(root), title, body)


def default_branch(root: Path) -> str:
    """The remote's default branch, as this clone knows it, else as the remote says; else ``main``."""
    remote = push.git_remote(root)
    if remote is None:
        return "main"
    with suppress(CommandError):
        return git(root, "rev-parse", "--abbrev-ref", f"{remote}/HEAD").partition("/")[2]
    with suppress(CommandError):
        said = git(root, "ls-remote", "--symref", remote, "HEAD")
        if said.startswith("ref: refs/heads/"):
            return said.removeprefix("ref: refs/heads/").partition("\t")[0]
    return "main"
