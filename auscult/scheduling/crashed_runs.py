"""Clean up after flow runs whose process was killed: on disk, and in Prefect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from auscult.core.errors import AuscultError
from auscult.publishing.journal import InProgressError, Journal
from auscult.scheduling.processes import is_command, is_flow_run

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
    yield from _mark_crashed(root, alive)


def _mark_crashed(root: Path, alive: set[str]) -> Iterator[str]:
    # Prefect reads its environment when it is imported, and serve() sets that first.
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Crashed

    active = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": active}}})
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=wanted)
        alive |= _with_a_process()  # after the query, so that a run that has just started does not count as dead
        manual = _runs_manually(root)
        for run in runs:
            if str(run.id) in alive or (manual and run.deployment_id is None):
                continue
            state: State[Any] = Crashed(message="Its process was killed; its changes were undone.")
            client.set_flow_run_state(run.id, state, force=True)
            yield f"{run.name} was interrupted: marked as crashed, it can be run again"


def _with_a_process() -> set[str]:
    """Return the ids of the flow runs that have a living process started by a worker."""
    found = set()
    for process in filter(is_flow_run, psutil.process_iter()):
        with suppress(psutil.Error):
            found.add(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    return found


def _runs_manually(root: Path) -> bool:
    """Return whether a person's ``auscult models retrain``, ``data ingest`` or ``monitor`` runs in this repository."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if is_command(process, "retrain", "ingest", "monitor") and Path(process.cwd()) == root.resolve():
                return True
    return False
