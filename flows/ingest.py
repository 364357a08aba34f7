"""``ingest``: check the new recordings in a watched folder and publish them on the branch ``ingest``.

    auscult data ingest [--folder FOLDER]

The same folder may be given again: recordings that the data set holds already are skipped. The steps are in
:mod:`auscult.retraining.ingestion`; this module defines their order, their retries and their names in Prefect.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from auscult.publishing.journal import Entry, Journal
from auscult.retraining import ingestion, steps

#: Emitted after recordings were added; ``prefect.yaml`` makes it start a retraining of the branch.
EVENT = "auscult.added"


@flow(name="ingest", flow_run_name=lambda: steps.run_name("ingest", datetime.now(UTC), str(flow_run.id or "")))
def ingest(folder: str | None = None) -> State[Any]:
    """Add the new recordings of a folder to the data set that ``params.yaml`` names.

    Parameters
    ----------
    folder
        A delivery in a layout of the data set, or a folder of such folders; by default ``data/inbox/<dataset>``.

    Returns
    -------
    State
        Completed, named ``Added`` or ``NothingNew``, with a summary as its message.
    """
    root = Path.cwd()
    journal = Journal(root, "ingest")
    name, flow_run_id = str(flow_run.name or "ingest"), str(flow_run.id or "")
    with journal.running(name, flow_run_id, get_run_logger().warning) as entry:
        return _ingest(root, journal, entry, folder)


def _ingest(root: Path, journal: Journal, entry: Entry, folder: str | None) -> State[Any]:
    params, settings = steps.read_params(root, root)
    delivery = Path(folder) if folder is not None else root / ingestion.INBOX / params.dataset
    if folder is None and not any(path.is_file() for path in delivery.rglob("*")):
        return Completed(name="NothingNew", message=f"no file in {ingestion.INBOX / params.dataset}")
    delay = settings.retrain.retry_delay_s
    retry: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [delay, 4 * delay]}
    _fetch.with_options(**retry)(root, return_state=True)  # without the remote: ingest onto the local branch
    entry, workspace = _begin(root, journal, entry)
    ingested = _add_recordings(root, workspace, params.dataset, delivery, entry.name)
    if not ingested.batches:
        journal.close(entry)
        return Completed(name="NothingNew", message=ingested.summary)
    pushed = _push_data.with_options(**retry)(workspace, params.dataset, ingested.batches)
    entry = _commit(root, journal, entry, ingested.message, data_pushed=pushed)
    _publish_branch.with_options(**retry)(root, entry)
    resource = {"prefect.resource.id": f"auscult.{params.dataset}", "prefect.resource.name": params.dataset}
    emit_event(EVENT, resource=resource, payload={"branch": entry.branch, "commit": entry.commit})
    journal.complete(entry)
    return Completed(name="Added", message=f"{ingested.summary}; branch {entry.branch}")


@task(name="fetch", cache_policy=NO_CACHE)
def _fetch(root: Path) -> None:
    get_run_logger().info(steps.fetch(root))


_begin = task(name="worktree", cache_policy=NO_CACHE)(ingestion.begin)
_push_data = task(name="push data", cache_policy=NO_CACHE)(ingestion.push_additions)
_commit = task(name="commit", cache_policy=NO_CACHE)(ingestion.commit_additions)


@task(name="new recordings", cache_policy=NO_CACHE)
def _add_recordings(root: Path, workspace: Path, dataset: str, delivery: Path, name: str) -> ingestion.Ingested:
    logger = get_run_logger()
    ingested = ingestion.ingest(root, workspace, dataset, delivery, name, logger.info)
    logger.info(ingested.summary)
    return ingested


@task(name="push branch", cache_policy=NO_CACHE)
def _publish_branch(root: Path, entry: Entry) -> None:
    get_run_logger().info(steps.publish_branch(root, entry))
