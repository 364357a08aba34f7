"""The steps of a look at recent recordings, without Prefect: what :mod:`flows.monitor` orders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class Subject:
    """The model whose recordings are watched, and by what rule.

    Attributes
    ----------
    model_digest
        Of the model's files.
    in_service
        False where nothing is, and the newest model is asked.
    """

    paths: Paths
    experiment: str
    model: TrainedModel
    model_digest: str
    in_service: bool
    validate: ValidateParams
    limits: MonitorSettings

    @property
    def name(self) -> str:
        """Data set and experiment."""
        return f"{self.paths.dataset}/{self.experiment}"

    @property
    def folder(self) -> Path:
        """Where the report goes: index.html and drift.json."""
        return self.paths.reports / "drift"


@dataclass(frozen=True)
class Finding:
    """The verdict, with what a page or an event says around it."""

    drift: Drift
    about: About
    report: Path


def subject(experiment: str | None = None) -> Subject:
    """The champion of an experiment, by default the first of ``flows.retrain.experiments``.

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
        print(f"monitor: nothing is in service for {name} of {params.dataset} yet: asking {folder}", flush=True)
    model = TrainedModel.load(folder)
    return Subject(paths, name, model, digest_of_model(folder), champion is not None, params.validate_, flows.monitor)


def usual_folder() -> Path:
    """Where recent recordings of the data set are looked for on a schedule."""
    return DATA_DIR / "recent" / parameters.load().dataset


def recordings(folder: Path) -> list[Path]:
    """The audio files in a folder, at any depth, but for hidden ones.

    Raises
    ------
    DataError
        There is no such folder, or no WAV or FLAC file in it.
    """
    next_step = "python -m auscult.cli monitor FOLDER, a folder with recent recordings as WAV or FLAC"
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}", where=str(folder), next_step=next_step)
    visible = [
        path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    found = sorted(path for path in visible if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        others = sorted({path.suffix.lower() for path in visible if path.is_file() and path.suffix})
        there = f"; there are: {', '.join(others[:8])}" if others else ""
        raise DataError(f"{folder} holds no WAV or FLAC file{there}", where=str(folder), next_step=next_step)
    return found


def recent(watched: Subject, folder: Path) -> pd.DataFrame:
    """Observe the recordings in a folder; raises as :func:`recordings` does."""
    return observe(watched.model, recordings(folder), watched.validate, workers(), base=folder)


def learned(watched: Subject) -> Reference:
    """Observe, or remember, what the model learned from."""
    return reference(watched.paths, watched.model, watched.validate, workers())


def conclude(watched: Subject, folder: Path, table: pd.DataFrame, known: Reference) -> Finding:
    """Compare, write the report, and say the verdict.

    Parameters
    ----------
    folder
        That *table* was observed in; only its name is written.
    """
    drift = compare(known.table, table, known.rejected_share, watched.limits)
    about = About(
        dataset=watched.paths.dataset,
        experiment=watched.experiment,
        folder=readable(folder.resolve().name),
        model=watched.model_digest,
        in_service=watched.in_service,
        recordings=known.learned_from[0],
        patients=known.learned_from[1],
        limits=watched.limits.model_dump(),
        meanings={name: text for name, (_, text) in columns(watched.model.spec).items()},
    )
    with replacing_folder(watched.folder) as scratch:
        write_json(scratch / "drift.json", record(drift, table, about))
        write_text(scratch / "index.html", page(drift, known.table, table, about))
    finding = Finding(drift, about, watched.folder / "index.html")
    for line in lines(finding):
        print(f"monitor: {line}", flush=True)
    return finding


def lines(finding: Finding) -> list[str]:
    """What a person reads in the terminal."""
    drift, about = finding.drift, finding.about
    reasons = ", ".join(f"{count} {reason}" for reason, count in drift.set_aside.reasons.items())
    set_aside = f"{drift.set_aside.count} set aside" + (f" ({reasons})" if reasons else "")
    compared = f"compared with {drift.learned_from} recordings that {about.dataset}/{about.experiment} learned from"
    return [
        f"{drift.set_aside.looked_at} recordings looked at, {set_aside}",
        *([compared] if drift.enough else []),
        drift.verdict,
        f"report: {finding.report}",
    ]


def look(folder: str, experiment: str | None = None) -> Drift:
    """Look at recent recordings and write the report, without Prefect.

    Parameters
    ----------
    folder
        Holds recent recordings as WAV or FLAC, at any depth.
    experiment
        Whose model is meant; by default the first of ``flows.retrain.experiments``.

    Raises
    ------
    AuscultError
        No such folder or experiment, no audio, no model, or no manifest of what it learned from.
    """
    place = Path(folder)
    recordings(place)  # a mistake in the command's one argument comes before anything slow
    watched = subject(experiment)
    known = learned(watched)
    return conclude(watched, place, recent(watched, place), known).drift
