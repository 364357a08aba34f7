"""``retrain``: a challenger from new data or a new revision, and a champion that only a better one replaces.

    python -m auscult.cli retrain [--revision REVISION] [--data FOLDER]

Everything happens in a throw-away worktree. The steps are in :mod:`auscult.retraining.steps`; here are their order,
their retries, and their names on Prefect's page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, State

from auscult.core.errors import AuscultError
from auscult.core.paths import ADDED_DIR, Paths
from auscult.publishing import push
from auscult.publishing.journal import Entry, Journal, advanced
from auscult.registry.gate.page import markdown
from auscult.retraining import ingestion, steps
from auscult.retraining.steps import Decided
from auscult.versioning import graph


@flow(name="retrain", flow_run_name=lambda: steps.run_name("retrain", datetime.now(UTC), str(flow_run.id or "")))
def retrain(revision: str | None = None, data: str | None = None) -> State[Any]:
    """Retrain a revision, with new recordings where *data* names a folder of them, and decide which model serves.

    Parameters
    ----------
    revision
        Branch, tag or commit; by default what others have merged: the default branch of git's remote, or, without
        one, what is checked out here.
    data
        Folder with new recordings in a layout of the data set.

    Returns
    -------
    State
        Completed, named ``Promoted`` or ``Kept``, with the reason as its message.
    """
    root = Path.cwd()
    if data is not None and not Path(data).is_dir():
        raise AuscultError(
            "there is no such folder", where=data, next_step="name the folder that holds the new recordings"
        )
    journal = Journal(root, "retrain")
    name, flow_run_id = str(flow_run.name or "retrain"), str(flow_run.id or "")
    with journal.running(name, flow_run_id, get_run_logger().warning) as entry:
        return _retrain(root, journal, entry, revision, data)


def _retrain(root: Path, journal: Journal, entry: Entry, revision: str | None, data: str | None) -> State[Any]:
    delay = steps.read_params(root, root)[1].retrain.retry_delay_s
    again: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [delay, 4 * delay]}
    _fetch.with_options(**again)(root, return_state=True)  # away, it can still be retrained what is here
    revision = revision or steps.newest(root)
    entry, place = _begin(root, journal, entry, revision)
    params, settings = steps.read_params(root, place)
    if data is not None:
        _take_in(root, place, params.dataset, data, entry.name)
    _run_stages(place, again)
    _track(place)
    decided = [_decide(root, place, params, settings, name) for name in settings.retrain.experiments]
    records = [_keep(root, entry.name, params.dataset, each) for each in decided]
    promoted = [each for each in decided if each.decision.outcome == "promote"]
    reason = "; ".join(f"{each.experiment}: {each.decision.reason}" for each in decided)
    if not promoted:
        journal.take_back(entry)
        return Completed(name="Kept", message=reason)
    text = steps.message(params.dataset, revision, decided)
    entry = journal.write(advanced(entry, branch=push.free_branch(root, _branch()), dataset=params.dataset))
    pushed = _push_data.with_options(**again)(place)
    entry = advanced(entry, remote=steps.destination(root, data_pushed=pushed))
    entry = _commit(journal, entry, place, text, promoted)
    _push_branch.with_options(**again)(root, entry)
    overtaken = journal.complete(entry)
    if entry.remote:
        _propose(root, entry, text.partition("\n")[0], records)
    name = "Kept" if len(overtaken) == len(promoted) else "Promoted"
    return Completed(name=name, message="; ".join([reason, *overtaken]))


def _branch() -> str:
    return f"retrain/{datetime.now(UTC):%Y-%m-%d}"


def _run_stages(place: Path, again: dict[str, Any]) -> None:
    """A task per stage of ``dvc.yaml``, in DVC's order; what nothing has changed for is passed over."""

    def run(node: str, due: bool) -> graph.Did:
        # Only the download depends on the world outside; another stage that failed would fail again.
        options: dict[str, Any] = again if node == "download" else {}
        return _stage.with_options(name=node, task_run_name=node, **options)(place, node, due)

    graph.walk(place, run)


@task(name="fetch", cache_policy=NO_CACHE)
def _fetch(root: Path) -> None:
    get_run_logger().info(steps.fetch(root))


@task(name="worktree", cache_policy=NO_CACHE)
def _begin(root: Path, journal: Journal, entry: Entry, revision: str) -> tuple[Entry, Path]:
    return steps.begin(root, journal, entry, revision)


@task(name="new recordings", cache_policy=NO_CACHE)
def _take_in(root: Path, place: Path, dataset: str, data: str, name: str) -> None:
    taken = ingestion.take_in(root, place, dataset, Path(data), name, get_run_logger().info)
    get_run_logger().info(taken.words)


@task(cache_policy=NO_CACHE)
def _stage(place: Path, node: str, due: bool) -> graph.Did:
    if not due:
        return "unchanged"
    logger = get_run_logger()
    did, seconds = graph.reproduce(place, node, logger.info)
    logger.info("%s: %s, %.1f s", node, did, seconds)
    return did


@task(name="track", cache_policy=NO_CACHE)
def _track(place: Path) -> None:
    steps.track(place, get_run_logger().info)


@task(name="gate", task_run_name="gate {experiment}", cache_policy=NO_CACHE)
def _decide(root: Path, place: Path, params: Any, settings: Any, experiment: str) -> Decided:
    decided = steps.decide_on(root, place, params, settings, experiment)
    get_run_logger().info("%s: %s, %s", experiment, decided.decision.outcome, decided.decision.reason)
    return decided


@task(name="decision", cache_policy=NO_CACHE)
def _keep(root: Path, name: str, dataset: str, decided: Decided) -> dict[str, Any]:
    record = steps.keep_decision(root, name, dataset, decided)
    key = f"decision-{dataset}-{decided.experiment}".replace("_", "-")
    create_markdown_artifact(key=key, markdown=markdown(record), description=decided.decision.reason)
    return record


@task(name="push data", cache_policy=NO_CACHE)
def _push_data(place: Path) -> bool:
    pushed = push.push_data(place)
    kept = "DVC has no remote that others reach: the outputs stay in its cache"
    get_run_logger().info("outputs pushed" if pushed else kept)
    return pushed


@task(name="commit", cache_policy=NO_CACHE)
def _commit(journal: Journal, entry: Entry, place: Path, text: str, promoted: list[Decided]) -> Entry:
    paths = Paths(entry.dataset)
    kept = (paths.reports / "metrics", paths.card, paths.version, ADDED_DIR)
    commit = push.commit(place, text, ["dvc.lock", *(path.as_posix() for path in kept)])
    promotions = [each.promotion() for each in promoted]
    return journal.write(advanced(entry, commit=commit, promotions=promotions, state="handing over"))


@task(name="push branch", cache_policy=NO_CACHE)
def _push_branch(root: Path, entry: Entry) -> None:
    get_run_logger().info(steps.hand_over_branch(root, entry))


@task(name="pull request", cache_policy=NO_CACHE)
def _propose(root: Path, entry: Entry, title: str, records: list[dict[str, Any]]) -> None:
    get_run_logger().info(steps.propose(root, entry, title, records))
