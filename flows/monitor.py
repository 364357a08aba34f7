"""``monitor``: whether recent recordings are still like those that the model in service learned from.

    python -m auscult.cli monitor [FOLDER] [--experiment NAME]

The steps are in :mod:`auscult.monitoring.steps`; here are their order and their names on Prefect's page.
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from auscult.monitoring import steps
from auscult.monitoring.page import markdown
from auscult.monitoring.reference import Reference

DRIFT = "auscult.drift"


@flow(name="monitor", log_prints=True)
def monitor(folder: str | None = None, experiment: str | None = None, root: str | None = None) -> dict[str, Any]:
    """Look at recent recordings; where something drifts, raise the event ``auscult.drift``.

    Parameters
    ----------
    folder
        Holds recent recordings as WAV or FLAC, at any depth; relative to *root*. By default
        ``data/recent/<dataset>``, where it is no mistake if there is no such folder: then there is no verdict.
    experiment
        Whose model is meant; by default the first of ``flows.retrain.experiments``.
    root
        The repository; by default the current folder.

    Returns
    -------
    dict
        Of :meth:`auscult.monitoring.drift.Drift.to_json`.
    """
    with chdir(root or "."):
        place = steps.usual_folder() if folder is None else Path(folder)
        if folder is None and not place.is_dir():
            return {"verdict": f"there is no {place}", "enough": False, "drifted": []}
        steps.recordings(place)
        watched = steps.subject(experiment)
        known = _learned(watched)
        finding = _conclude(watched, place, _recent(watched, place), known)
        if finding.drift.drifted:
            _raise_event(finding)
        return finding.drift.to_json()


@task(name="what the model learned from", cache_policy=NO_CACHE)
def _learned(watched: steps.Subject) -> Reference:
    return steps.learned(watched)


@task(name="recent recordings", cache_policy=NO_CACHE)
def _recent(watched: steps.Subject, place: Path) -> Any:
    return steps.recent(watched, place)


@task(name="compare", cache_policy=NO_CACHE)
def _conclude(watched: steps.Subject, place: Path, table: Any, known: Reference) -> steps.Finding:
    finding = steps.conclude(watched, place, table, known)
    key = f"drift-{finding.about.dataset}".replace("_", "-")
    create_markdown_artifact(
        key=key, markdown=markdown(finding.drift, finding.about), description=finding.drift.verdict
    )
    return finding


@task(name="raise event", cache_policy=NO_CACHE)
def _raise_event(finding: steps.Finding) -> None:
    emit_event(event=DRIFT, resource=resource(finding), payload=payload(finding))


def resource(finding: steps.Finding) -> dict[str, str]:
    """Whose drift it is, for triggers to match."""
    about = finding.about
    return {
        "prefect.resource.id": f"auscult.{about.dataset}.{about.experiment}",
        "prefect.resource.name": f"{about.experiment} of {about.dataset}",
    }


def payload(finding: steps.Finding) -> dict[str, Any]:
    """The verdict, and the figures of what drifted."""
    said = finding.drift.to_json()
    return {
        "dataset": finding.about.dataset,
        "experiment": finding.about.experiment,
        "verdict": said["verdict"],
        "drifted": said["drifted"],
        "features": [feature for feature in said["features"] if feature["drifts"]],
        "classes": said["classes"] if said["classes"] and said["classes"]["drifts"] else None,
        "set_aside": said["set_aside"] if said["set_aside"]["drifts"] else None,
        "report": str(finding.report),
    }
