"""The steps of monitoring, without Prefect: from a folder of recent recordings to a verdict and a report."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult import settings
from auscult.core import params as parameters
from auscult.core.errors import DataError, unknown_name
from auscult.core.paths import DATA_DIR, Paths
from auscult.core.process import workers
from auscult.core.sections import ValidateParams
from auscult.core.storage import replacing_folder, write_json, write_text
from auscult.monitoring.drift import Drift, compare
from auscult.monitoring.observe import columns, observe, readable
from auscult.monitoring.page import About, page, record
from auscult.monitoring.reference import Reference, reference
from auscult.registry.outputs import digest_of_model
from auscult.registry.versions import champion_folder
from auscult.settings import MonitorSettings
from auscult.training.trained_model import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".wav", ".flac")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Monitored:
    """The model that recent recordings are checked for, and the limits.

    Attributes
    ----------
    model_digest
        Digest of the model's files.
    in_service
        False if no model is in service, and the newest one is used.
    """

    paths: Paths
    experiment: str
    model: TrainedModel
    model_digest: str
    in_service: bool
    validate: ValidateParams
    limits: MonitorSettings


@dataclass(frozen=True)
class Finding:
    """The result of a comparison, what it is about, and the path of its report."""

    drift: Drift
    about: About
    report: Path

    def event_resource(self) -> dict[str, str]:
        """Return the resource of a drift event: the model, for Prefect's triggers to match."""
        return {
            "prefect.resource.id": f"auscult.{self.about.dataset}.{self.about.experiment}",
            "prefect.resource.name": f"{self.about.experiment} of {self.about.dataset}",
        }

    def event_payload(self) -> dict[str, Any]:
        """Return the payload of a drift event: the verdict, and the numbers of what drifts."""
        content = self.drift.to_json()
        return {
            "dataset": self.about.dataset,
            "experiment": self.about.experiment,
            "verdict": content["verdict"],
            "drifted": content["drifted"],
            "features": [feature for feature in content["features"] if feature["drifts"]],
            "classes": content["classes"] if content["classes"] and content["classes"]["drifts"] else None,
            "rejected": content["rejected"] if content["rejected"]["drifts"] else None,
            "report": str(self.report),
        }


def load_model(experiment: str | None = None) -> Monitored:
    """Load the champion of an experiment (by default the first one in service); the newest model if there is none.

    Raises
    ------
    AuscultError
        There is no such experiment, or no model of it.
    """
    params, flows = settings.load()
    name = experiment or flows.retrain.experiments[0]
    if name not in params.experiments:
        raise unknown_name("experiment", name, params.experiments, where="--experiment", next_step="name one of these")
    paths = Paths(params.dataset)
    champion = champion_folder(params.dataset, name)
    folder = champion or paths.model(name)
    if champion is None:
        _log.info("monitor: no model is in service for %s of %s yet: using %s", name, params.dataset, folder)
    model = TrainedModel.load(folder)
    return Monitored(paths, name, model, digest_of_model(folder), champion is not None, params.validate_, flows.monitor)


def usual_folder() -> Path:
    """Return the folder of recent recordings that the scheduled flow examines."""
    return DATA_DIR / "recent" / parameters.load().dataset


def recordings(folder: Path) -> list[Path]:
    """Return the audio files in a folder, at any depth, without hidden ones.

    Raises
    ------
    DataError
        There is no such folder, or no WAV or FLAC file in it.
    """
    next_step = "auscult monitor FOLDER, a folder with recent recordings as WAV or FLAC"
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}", where=str(folder), next_step=next_step)
    visible = [
        path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    found = sorted(path for path in visible if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        others = sorted({path.suffix.lower() for path in visible if path.is_file() and path.suffix})
        present = f"; it holds: {', '.join(others[:8])}" if others else ""
        raise DataError(f"{folder} holds no WAV or FLAC file{present}", where=str(folder), next_step=next_step)
    return found


def observe_recent(monitored: Monitored, folder: Path) -> pd.DataFrame:
    """Measure the recordings in a folder; raise as :func:`recordings` does."""
    return observe(monitored.model, recordings(folder), monitored.validate, workers(), base=folder)


def observe_reference(monitored: Monitored) -> Reference:
    """Measure the recordings that the model learned from, or read them from the cache."""
    return reference(monitored.paths, monitored.model, monitored.validate, workers())


def conclude(monitored: Monitored, folder: Path, table: pd.DataFrame, known: Reference) -> Finding:
    """Compare recent recordings with the reference and write the report: ``index.html`` and ``drift.json``.

    Parameters
    ----------
    folder
        Folder that *table* describes; only its name is written.
    """
    drift = compare(known.table, table, known.rejected_share, monitored.limits)
    about = About(
        dataset=monitored.paths.dataset,
        experiment=monitored.experiment,
        folder=readable(folder.resolve().name),
        model=monitored.model_digest,
        in_service=monitored.in_service,
        recordings=known.learned_from[0],
        patients=known.learned_from[1],
        limits=monitored.limits.model_dump(),
        meanings={name: text for name, (_, text) in columns(monitored.model.spec).items()},
    )
    target = monitored.paths.reports / "drift"
    with replacing_folder(target) as scratch:
        write_json(scratch / "drift.json", record(drift, table, about))
        write_text(scratch / "index.html", page(drift, known.table, table, about))
    return Finding(drift, about, target / "index.html")


def lines(finding: Finding) -> list[str]:
    """Return the result as lines for a terminal or a log."""
    drift, about = finding.drift, finding.about
    reasons = ", ".join(f"{count} {reason}" for reason, count in drift.rejected.reasons.items())
    rejected = f"{drift.rejected.count} rejected" + (f" ({reasons})" if reasons else "")
    compared = f"compared with {drift.learned_from} recordings that {about.dataset}/{about.experiment} learned from"
    return [
        f"{drift.rejected.examined} recordings examined, {rejected}",
        *([compared] if drift.enough else []),
        drift.verdict,
        f"report: {finding.report}",
    ]


def look(folder: str, experiment: str | None = None) -> Drift:
    """Compare the recordings in a folder with those that the model learned from, and write the report.

    Parameters
    ----------
    folder
        Holds recent recordings as WAV or FLAC, at any depth.
    experiment
        Whose champion is used; by default the first of ``retrain.experiments`` in ``flows/settings.yaml``.

    Raises
    ------
    AuscultError
        No such folder or experiment, no audio, no model, or no manifest of what it learned from.
    """
    recordings(Path(folder))  # report a wrong folder before anything slow
    monitored = load_model(experiment)
    known = observe_reference(monitored)
    finding = conclude(monitored, Path(folder), observe_recent(monitored, Path(folder)), known)
    for line in lines(finding):
        _log.info("monitor: %s", line)
    return finding.drift
