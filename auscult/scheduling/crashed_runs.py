"""Clean up after flow runs whose process was killed: on disk, and in Prefect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from auscult.core.errors import AuscultError
from auscult.publishing.journal import InProgressError, Journal
from auscult.scheduling.processes import is_alive, is_flow_run

#: Flows that keep a journal.
JOURNALS = ("retrain", "ingest")


def clean_up(root: Path) -> Iterator[str]:
    """Undo or complete killed runs and mark them as crashed in Prefect; yield a line for each.

    Call it while no worker runs. Then every run that Prefect believes to be running is dead, except for a run whose
    process outlived its worker and one that a person started.
    """
    alive = set()
    for flow in JOURNALS:
        journal = Journal(root, flow)
        try:
            with journal.held(f"clean-up of {flow}"):
                if done := journal.recover():
                    yield done
        except InProgressError as error:
            alive.add(error.flow_run_id)
            yield f"{flow}: {error.what}"
        except AuscultError as error:
            yield f"{flow}: {error}"
    yield from mark_crashed(alive)


def mark_crashed(alive: set[str] | None = None) -> Iterator[str]:
    """Mark runs without a living process as crashed in Prefect; yield a line for each.

    Parameters
    ----------
    alive
        Ids of further runs that are alive. With ``None``, only runs of ``auscult`` commands are examined: those of a
        worker that runs may not have a process yet.
    """
    # Prefect reads its environment when it is imported, and serve() sets that first.
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Crashed

    active = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": active}}})
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=wanted)
        # After the query, so that a run that has just started does not count as dead.
        known = set() if alive is None else alive | _with_a_process()
        for run in runs:
            manual = is_alive(run.tags)
            if str(run.id) in known or manual or (alive is None and manual is None):
                continue
            undone = "its changes were undone" if alive is not None else "the next start undoes its changes"
            state: State[Any] = Crashed(message=f"Its process was killed; {undone}.")
            client.set_flow_run_state(run.id, state, force=True)
            yield f"{run.name} was interrupted: marked as crashed, it can be run again"


def _with_a_process() -> set[str]:
    """Return the ids of the flow runs that have a living process started by a worker."""
    found = set()
    for process in filter(is_flow_run, psutil.process_iter()):
        with suppress(psutil.Error):
            found.add(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    return found
