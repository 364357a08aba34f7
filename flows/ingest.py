"""``ingest``: new recordings from a watched folder, checked, onto the branch ``ingest``.

    python -m auscult.cli ingest [--folder FOLDER]

The same folder may be given again and again: what is there already is passed over. It may hold a folder for each
of several deliveries. The steps are in :mod:`auscult.retraining.ingestion`; here are their order, their retries, and their names
on Prefect's page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed, State

from auscult.core.paths import Paths
from auscult.publishing import push
from auscult.publishing.journal import Entry, Journal, advanced
from auscult.retraining import ingestion, steps
from auscult.versioning import worktree

#: Raised when recordings were added; ``prefect.yaml`` lets it start a retraining of the branch.
EVENT = "auscult.added"


@flow(name="ingest", flow_run_name=lambda: steps.run_name("ingest", datetime.now(UTC), str(flow_run.id or "")))
def ingest(folder: str | None = None) -> State[Any]:
    """Add what is new in a folder to the data set that ``params.yaml`` names.

    Parameters
    ----------
    folder
        A delivery in a layout of the data set, or a folder of such folders; by default ``data/inbox/<dataset>``.

    Returns
    -------
    State
        Completed, named ``Added`` or ``NothingNew``, with what became of the delivery as its message.
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
        return Completed(name="NothingNew", message=f"nothing lies in {ingestion.INBOX / params.dataset}")
    delay = settings.retrain.retry_delay_s
    again: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [delay, 4 * delay]}
    _fetch.with_options(**again)(root, return_state=True)
    entry, place = _begin(root, journal, entry)
    taken = _take_in(root, place, params.dataset, delivery, entry.name)
    if not taken.batches:
        journal.take_back(entry)
        return Completed(name="NothingNew", message=taken.words)
    targets = [f"{Paths(params.dataset).added / batch}.dvc" for batch in taken.batches]
    pushed = _push_data.with_options(**again)(place, targets)
    entry = _commit(root, journal, entry, place, taken.message, pushed)
    _hand_over.with_options(**again)(root, entry)
    resource = {"prefect.resource.id": f"auscult.{params.dataset}", "prefect.resource.name": params.dataset}
    emit_event(EVENT, resource=resource, payload={"branch": entry.branch, "commit": entry.commit})
    journal.complete(entry)
    return Completed(name="Added", message=f"{taken.words}; branch {entry.branch}")


@task(name="fetch", cache_policy=NO_CACHE)
def _fetch(root: Path) -> None:
    get_run_logger().info(steps.fetch(root))


@task(name="worktree", cache_policy=NO_CACHE)
def _begin(root: Path, journal: Journal, entry: Entry) -> tuple[Entry, Path]:
    entry = journal.write(advanced(entry, place=str((root / worktree.FOLDER / entry.name).resolve())))
    newest = steps.newest(root)  # not what is checked out: its commits may be nobody's business yet
    place = worktree.create(root, entry.name, ingestion.base(root, newest))
    ingestion.catch_up(root, place, newest)
    worktree.fill(place)
    return entry, place


@task(name="new recordings", cache_policy=NO_CACHE)
def _take_in(root: Path, place: Path, dataset: str, delivery: Path, name: str) -> ingestion.Taken:
    logger = get_run_logger()
    taken = ingestion.take_in(root, place, dataset, delivery, name, logger.info)
    logger.info(taken.words)
    return taken


@task(name="push data", cache_policy=NO_CACHE)
def _push_data(place: Path, targets: list[str]) -> bool:
    return push.push_data(place, targets)


@task(name="commit", cache_policy=NO_CACHE)
def _commit(root: Path, journal: Journal, entry: Entry, place: Path, text: str, pushed: bool) -> Entry:
    commit = push.commit(place, text, ["data/added"])
    remote = steps.destination(root, data_pushed=pushed)
    return journal.write(advanced(entry, branch=ingestion.BRANCH, commit=commit, remote=remote, state="handing over"))


@task(name="push branch", cache_policy=NO_CACHE)
def _hand_over(root: Path, entry: Entry) -> None:
    get_run_logger().info(steps.hand_over_branch(root, entry))
