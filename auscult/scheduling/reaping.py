"""Runs that a kill left behind: marked on Prefect's page, cleaned up on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from auscult.core.errors import AuscultError
from auscult.publishing.journal import InProgressError, Journal

#: Flows that keep a journal.
JOURNALS = ("retrain", "ingest")


def reap(root: Path) -> Iterator[str]:
    """Take back or complete what killed runs left, and mark them; says what was done, line by line.

    To be called while no worker runs: whatever Prefect believes to be running then is dead, except for
    a run whose process outlived its worker, and one that somebody started by hand.
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
    yield from _mark(root, alive)


def _with_a_process() -> set[str]:
    """Ids of the flow runs whose process, started by some worker, is there."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "prefect.engine" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    return found


def _by_hand(root: Path) -> bool:
    """Whether somebody's ``python -m auscult.cli retrain`` (or ``ingest``, ``monitor`` …) runs in this repository."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if "flows" in words[1:4] and "serve" not in words[1:5] and Path(process.cwd()) == root.resolve():
                return True
    return False


def _mark(root: Path, alive: set[str]) -> Iterator[str]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed, State

    under_way = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": under_way}}})
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=wanted)
        alive |= _with_a_process()  # after the question, so that none that has begun since is taken for dead
        by_hand = _by_hand(root)
        for run in runs:
            if str(run.id) in alive or (by_hand and run.deployment_id is None):
                continue
            state: State[Any] = Crashed(
                message="Its process was gone when the flows were started again; nothing of it was kept."
            )
            client.set_flow_run_state(run.id, state, force=True)
            yield f"{run.name} was cut off: marked as crashed, it can be run again"
