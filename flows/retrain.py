"""``retrain``: train a challenger on new data or a new revision; promote it only if it is shown to be better.

    auscult models retrain [--revision REVISION] [--data FOLDER] [--experiment NAME]...

Everything happens in a temporary worktree. The steps are in :mod:`auscult.retraining.steps`; this module defines
their order, their retries and their names in Prefect.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from auscult.core.errors import AuscultError
from auscult.publishing import push
from auscult.publishing.journal import Entry, Journal
from auscult.registry.gate.page import markdown
from auscult.retraining import ingestion, steps
from auscult.retraining.steps import Decided
from auscult.versioning import graph


@flow(name="retrain", flow_run_name=lambda: steps.run_name("retrain", datetime.now(UTC), str(flow_run.id or "")))
def retrain(revision: str | None = None, data: str | None = None, experiments: list[str] | None = None) -> State[Any]:
    """Retrain a revision, with the new recordings in *data* if given, and decide which model is in service.

    Parameters
    ----------
    revision
        Branch, tag or commit; by default the default branch of git's remote, or without a remote the commit that is
        checked out.
    data
        Folder with new recordings in a layout of the data set.
    experiments
        Only these are trained and decided on; by default all are trained, and those in service decided on.

    Returns
    -------
    State
        Completed, named ``Promoted`` or ``Kept``, with the reason and the pages of the decisions as its message.
    """
    root = Path.cwd()
    if data is not None and not Path(data).is_dir():
        next_step = "name the folder that holds the new recordings"
        raise AuscultError("there is no such folder", where=data, next_step=next_step)
    journal = Journal(root, "retrain")
    name, flow_run_id = str(flow_run.name or "retrain"), str(flow_run.id or "")
    with journal.running(name, flow_run_id, get_run_logger().warning) as entry:
        return _retrain(root, journal, entry, revision, data, experiments)


def _retrain(
    root: Path, journal: Journal, entry: Entry, revision: str | None, data: str | None, asked: list[str] | None
) -> State[Any]:
    _, settings = steps.read_params(root, root)
    chosen, delay = steps.choose(settings, asked), settings.retrain.retry_delay_s
    upto = steps.stages_of(chosen) if asked else []
    retry: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [delay, 4 * delay]}
    _fetch.with_options(**retry)(root, return_state=True)  # without the remote: retrain what was fetched before
    revision = revision or steps.newest(root)
    entry, workspace = _begin(root, journal, entry, revision)
    params, settings = steps.read_params(root, workspace)
    if data is not None:
        _add_recordings(root, workspace, params.dataset, data, entry.name)
    _run_stages(workspace, retry, upto)
    _track(workspace)
    decided = [_decide(root, workspace, params, settings, name) for name in chosen]
    records = [_keep_decision(root, entry.name, params.dataset, each) for each in decided]
    promoted = [each for each in decided if each.decision.outcome == "promote"]
    reason = "; ".join(f"{each.experiment}: {each.decision.reason}" for each in decided)
    pages = "".join(f"\n{page}" for each in decided if (page := steps.page_of(entry.name, params.dataset, each)))
    if not promoted:
        journal.close(entry)
        return Completed(name="Kept", message=reason + pages)
    message = steps.message(params.dataset, revision, decided)
    entry = journal.write(steps.name_branch(root, entry, params.dataset))
    pushed = _push_data.with_options(**retry)(workspace, upto)
    entry = _commit(root, journal, entry, message, promoted, data_pushed=pushed)
    _publish_branch.with_options(**retry)(root, entry)
    skipped = journal.complete(entry)
    if entry.remote:
        _propose(root, entry, message.partition("\n")[0], records)
    name = "Kept" if len(skipped) == len(promoted) else "Promoted"
    return Completed(name=name, message="; ".join([reason, *skipped]) + pages)


def _run_stages(workspace: Path, retry: dict[str, Any], upto: Sequence[str]) -> None:
    """Run a task per stage of ``dvc.yaml``, in DVC's order, by default for all; unchanged stages are skipped."""

    def run(node: str, due: bool) -> graph.Outcome:
        # Only the download depends on other machines: any other stage would fail again.
        options: dict[str, Any] = retry if node == "download" else {}
        return _stage.with_options(name=node, task_run_name=node, **options)(workspace, node, due)

    graph.walk(workspace, run, upto)


@task(name="fetch", cache_policy=NO_CACHE)
def _fetch(root: Path) -> None:
    get_run_logger().info(steps.fetch(root))


_begin = task(name="worktree", cache_policy=NO_CACHE)(steps.begin)
_commit = task(name="commit", cache_policy=NO_CACHE)(steps.commit_results)


@task(name="new recordings", cache_policy=NO_CACHE)
def _add_recordings(root: Path, workspace: Path, dataset: str, data: str, name: str) -> None:
    ingested = ingestion.ingest(root, workspace, dataset, Path(data), name, get_run_logger().info)
    get_run_logger().info(ingested.summary)


@task(cache_policy=NO_CACHE)
def _stage(workspace: Path, node: str, due: bool) -> graph.Outcome:
    if not due:
        return "unchanged"
    logger = get_run_logger()
    did, seconds = graph.reproduce(workspace, node, logger.info)
    logger.info("%s: %s, %.1f s", node, did, seconds)
    return did


@task(name="track", cache_policy=NO_CACHE)
def _track(workspace: Path) -> None:
    steps.track(workspace, get_run_logger().info)


@task(name="gate", task_run_name="gate {experiment}", cache_policy=NO_CACHE)
def _decide(root: Path, workspace: Path, params: Any, settings: Any, experiment: str) -> Decided:
    decided = steps.decide_on(root, workspace, params, settings, experiment)
    get_run_logger().info("%s: %s, %s", experiment, decided.decision.outcome, decided.decision.reason)
    return decided


@task(name="decision", cache_policy=NO_CACHE)
def _keep_decision(root: Path, name: str, dataset: str, decided: Decided) -> dict[str, Any]:
    record = steps.keep_decision(root, name, dataset, decided)
    key = f"decision-{dataset}-{decided.experiment}".replace("_", "-")
    create_markdown_artifact(key=key, markdown=markdown(record), description=decided.decision.reason)
    return record


@task(name="push data", cache_policy=NO_CACHE)
def _push_data(workspace: Path, upto: Sequence[str]) -> bool:
    pushed = push.push_data(workspace, steps.push_targets(workspace, upto))
    get_run_logger().info("outputs pushed" if pushed else "DVC has no shared remote: the outputs stay in its cache")
    return pushed


@task(name="push branch", cache_policy=NO_CACHE)
def _publish_branch(root: Path, entry: Entry) -> None:
    get_run_logger().info(steps.publish_branch(root, entry))


@task(name="pull request", cache_policy=NO_CACHE)
def _propose(root: Path, entry: Entry, title: str, records: list[dict[str, Any]]) -> None:
    get_run_logger().info(steps.propose(root, entry, title, records))
