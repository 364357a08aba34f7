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
from auscult.datasets.readers.copies import AUDIO_ENDINGS, files_below
from auscult.monitoring.drift import Drift, compare
from auscult.monitoring.observe import columns, observe, readable
from auscult.monitoring.page import page
from auscult.monitoring.reference import Reference, reference
from auscult.registry.outputs import digest_of_model
from auscult.registry.versions import champion_folder
from auscult.settings import MonitorSettings
from auscult.training.trained_model import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Monitored:
    """The model that recent recordings are checked for, and the limits."""

    paths: Paths
    experiment: str
    model: TrainedModel
    #: Digest of the model's files.
    model_digest: str
    #: False if no model is in service, and the newest one is used.
    in_service: bool
    validate: ValidateParams
    limits: MonitorSettings


@dataclass(frozen=True)
class Finding:
    """The result of a comparison, the content of ``drift.json``, and the path of the page."""

    drift: Drift
    record: dict[str, Any]
    report: Path

    def event_resource(self) -> dict[str, str]:
        """Return the resource of a drift event: the model, for Prefect's triggers to match."""
        dataset, experiment = self.record["dataset"], self.record["experiment"]
        return {
            "prefect.resource.id": f"auscult.{dataset}.{experiment}",
            "prefect.resource.name": f"{experiment} of {dataset}",
        }

    def event_payload(self) -> dict[str, Any]:
        """Return the payload of a drift event: the verdict, and the numbers of what drifts."""
        classes, rejected = self.record["classes"], self.record["rejected"]
        return {
            **{key: self.record[key] for key in ("dataset", "experiment", "verdict", "drifted")},
            "features": [feature for feature in self.record["features"] if feature["drifts"]],
            "classes": classes if classes and classes["drifts"] else None,
            "rejected": rejected if rejected["drifts"] else None,
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
    files = list(files_below(folder))
    found = sorted(path for path in files if path.suffix.lower() in AUDIO_ENDINGS)
    if not found:
        others = sorted({path.suffix.lower() for path in files if path.suffix})
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
    recordings, patients = known.learned_from
    rejected = table.loc[table["rejected"] != "", ["file", "rejected", "detail"]].rename(columns={"rejected": "reason"})
    record = {
        "dataset": monitored.paths.dataset,
        "experiment": monitored.experiment,
        "model": monitored.model_digest,
        "in_service": monitored.in_service,
        "folder": readable(folder.resolve().name),
        **drift.to_json(),
        "learned_from": {"recordings": recordings, "patients": patients, "compared": drift.learned_from},
        "rejected_files": rejected.to_dict("records"),
        "limits": monitored.limits.model_dump(),
    }
    meanings = {name: text for name, (_, text) in columns(monitored.model.spec).items()}
    target = monitored.paths.reports / "drift"
    with replacing_folder(target) as scratch:
        write_json(scratch / "drift.json", record)
        write_text(scratch / "index.html", page(drift, record, known.table, table, meanings))
    return Finding(drift, record, target / "index.html")


def lines(finding: Finding) -> list[str]:
    """Return the result as lines for a terminal or a log."""
    drift, model = finding.drift, f"{finding.record['dataset']}/{finding.record['experiment']}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in drift.rejected.reasons.items())
    rejected = f"{drift.rejected.count} rejected" + (f" ({reasons})" if reasons else "")
    compared = f"compared with {drift.learned_from} recordings that {model} learned from"
    return [
        f"{drift.rejected.examined} recordings examined, {rejected}",
        *([compared] if drift.enough else []),
        drift.verdict,
        f"report: {finding.report}",
    ]


def monitor(folder: str, experiment: str | None = None) -> Drift:
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
