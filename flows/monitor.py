"""``monitor``: whether recent recordings still resemble those that the model in service learned from.

    auscult monitor [FOLDER] [--experiment NAME]

The steps are in :mod:`auscult.monitoring.steps`; this module defines their order and their names in Prefect.
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from auscult.monitoring import steps
from auscult.monitoring.page import markdown
from auscult.monitoring.reference import Reference

DRIFT = "auscult.drift"

_observe_reference = task(name="training recordings", cache_policy=NO_CACHE)(steps.observe_reference)
_observe_recent = task(name="recent recordings", cache_policy=NO_CACHE)(steps.observe_recent)


@flow(name="monitor", log_prints=True)
def monitor(folder: str | None = None, experiment: str | None = None, root: str | None = None) -> dict[str, Any]:
    """Compare recent recordings with those that the model learned from; emit ``auscult.drift`` if something drifts.

    Parameters
    ----------
    folder
        Holds recent recordings as WAV or FLAC, at any depth; relative to *root*. By default
        ``data/recent/<dataset>``; if that does not exist there is no verdict and no error.
    experiment
        Whose champion is used; by default the first of ``retrain.experiments`` in ``flows/settings.yaml``.
    root
        The repository; by default the current folder.

    Returns
    -------
    dict
        Result of :meth:`auscult.monitoring.drift.Drift.to_json`.
    """
    with chdir(root or "."):
        recent = steps.usual_folder() if folder is None else Path(folder)
        if folder is None and not recent.is_dir():
            return {"verdict": f"there is no {recent}", "enough": False, "drifted": []}
        steps.recordings(recent)
        monitored = steps.load_model(experiment)
        known = _observe_reference(monitored)
        finding = _conclude(monitored, recent, _observe_recent(monitored, recent), known)
        if finding.drift.drifted:
            _emit_event(finding)
        return finding.drift.to_json()


@task(name="compare", cache_policy=NO_CACHE)
def _conclude(monitored: steps.Monitored, folder: Path, table: Any, known: Reference) -> steps.Finding:
    finding = steps.conclude(monitored, folder, table, known)
    for line in steps.lines(finding):
        get_run_logger().info(line)
    key = f"drift-{finding.record['dataset']}".replace("_", "-")
    text = markdown(finding.drift, finding.record)
    create_markdown_artifact(key=key, markdown=text, description=finding.drift.verdict)
    return finding


@task(name="emit event", cache_policy=NO_CACHE)
def _emit_event(finding: steps.Finding) -> None:
    emit_event(event=DRIFT, resource=finding.event_resource(), payload=finding.event_payload())
