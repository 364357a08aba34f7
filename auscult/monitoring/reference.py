"""The recordings that a model learned from, measured once and cached."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core.digests import code_digest, digest, patient_key
from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR, DATA_DIR, Paths
from auscult.core.reject_reasons import ABSENT, REASONS
from auscult.core.sections import ValidateParams
from auscult.core.storage import read_table, write_table
from auscult.monitoring.observe import columns, observe

if TYPE_CHECKING:
    import pandas as pd

    from auscult.training.trained_model import TrainedModel

#: Enough for the distributions; of more recordings, those of randomly drawn patients are measured.
MOST_RECORDINGS = 400
_SEED = 43
_log = logging.getLogger(__name__)
#: Reasons of rejection that lie in labels and tables, which a folder of recent recordings does not have.
_OF_LABELS = {reason for reason in REASONS if reason.startswith("annotation_")}
_OF_LABELS |= {"duplicate_id", "unknown_label", "missing_metadata"}
#: Modules that determine a row; the modules of the representation and the architecture are added to them.
_CODE = (
    "auscult.monitoring.observe",
    "auscult.features.examples",
    "auscult.features.extraction.items",
    "auscult.features.representations",
    "auscult.features.extraction.spectrogram",
    "auscult.audio.compiled",
    "auscult.audio.resampling",
    "auscult.core.cohorts",
    "auscult.core.threads",
    "auscult.inference.predictor",
    "auscult.training.batches",
    "auscult.training.calibration",
    "auscult.training.decision",
    "auscult.models",
    "auscult.training.normaliser",
    "auscult.training.score",
    "auscult.training.trained_model",
    "auscult.audio.checks",
    "auscult.audio.container",
    "auscult.audio.reader",
    "auscult.audio.fingerprint",
)
_PATIENT = {"patient": ("string", "key of the patient")}


@dataclass(frozen=True)
class Reference:
    """The recordings that recent ones are compared with."""

    #: Result of :func:`auscult.monitoring.observe.observe`, with a column ``patient``.
    table: pd.DataFrame
    #: Numbers of recordings and patients that the model learned from. The table holds all of these recordings, or those
    #: of as many patients as have at least :data:`MOST_RECORDINGS`.
    learned_from: tuple[int, int]
    #: Share of the data set's recordings that ``validate`` rejected for a fault of the audio file, 0 to 1.
    rejected_share: float


def reference(paths: Paths, model: TrainedModel, params: ValidateParams, workers: int) -> Reference:
    """Measure the recordings that a model learned from, or read them from the cache.

    The cache has an entry per model, list of recordings and code.

    Raises
    ------
    DataError
        The manifest or an audio file is missing, or holds nothing that the model learned from.
    """
    known = learned_from(paths, model)
    chosen = sample_patients(known)
    target = CACHE_DIR / "drift" / f"{_key(model, params, chosen)}.parquet"
    try:
        table = read_table(target)
    except DataError:  # missing or damaged
        files = [audio_path(paths, path) for path in chosen["path"]]
        _log.info("monitor: measuring %d recordings that the model learned from (once)", len(files))
        table = observe(model, files, params, workers, base=DATA_DIR)
        patients = {
            file.relative_to(DATA_DIR).as_posix(): patient_key(paths.dataset, str(patient))
            for file, patient in zip(files, chosen["patient_id"], strict=True)
        }
        table["patient"] = table["file"].map(patients)
        write_table(target, table, columns(model.spec) | _PATIENT)
    return Reference(table, (len(known), known["patient_id"].nunique()), rejected_share(paths))


def learned_from(paths: Paths, model: TrainedModel) -> pd.DataFrame:
    """Return the manifest's rows of the development part, of patients that this model learned from.

    A model that is older than the split may know fewer patients; one that does not record its patients counts as
    trained on the whole part.

    Raises
    ------
    DataError
        There are none, or the tables are missing.
    """
    recordings = read_table(paths.manifest / "recordings.parquet")
    assignment = read_table(paths.split / "assignment.parquet")
    development = set(assignment.loc[assignment["part"] == "development", "recording_id"])
    known = recordings[recordings["recording_id"].isin(development)]
    keys = model.about.get("learned_from")
    if keys is not None:
        known = known[known["patient_id"].map(lambda patient: patient_key(paths.dataset, str(patient))).isin(keys)]
    if known.empty:
        raise DataError(
            f"the development part of {paths.dataset!r} holds no recording that the model {model.experiment!r} learned"
            " from: it is of other data",
            where=str(paths.split / "assignment.parquet"),
            next_step="git checkout the revision that the model was trained at, then: dvc checkout",
        )
    return known.sort_values("recording_id", ignore_index=True)


def sample_patients(known: pd.DataFrame) -> pd.DataFrame:
    """Return all recordings, or those of patients drawn with a fixed seed until there are :data:`MOST_RECORDINGS`.

    Whole patients are drawn to keep the number of recordings per patient.
    """
    sizes = known.groupby("patient_id").size()
    order = sorted(sizes.index, key=lambda patient: digest(_SEED, str(patient)))
    before = sizes.loc[order].cumsum() - sizes.loc[order]
    return known[known["patient_id"].isin(before.index[before < MOST_RECORDINGS])]


def audio_path(paths: Paths, path: str) -> Path:
    """Return the audio file of a manifest's ``path``: relative to ``data/``, in older manifests to the raw folder.

    Raises
    ------
    DataError
        There is no such file.
    """
    for candidate in (DATA_DIR / path, paths.raw / path):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{path}, which the model learned from, does not exist",
        where=str(DATA_DIR),
        next_step="dvc checkout (after dvc pull if this machine never had it)",
    )


def rejected_share(paths: Paths) -> float:
    """Return the share of the data set's audio files that ``validate`` rejected for a fault of the file, 0 to 1."""
    accepted = set(read_table(paths.manifest / "recordings.parquet")["recording_id"])
    rejects = read_table(paths.manifest / "rejects.parquet")
    rejects = rejects[rejects["reason"] != ABSENT]
    of_audio = set(rejects.loc[~rejects["reason"].isin(_OF_LABELS), "recording_id"])
    seen = accepted | set(rejects["recording_id"])
    return len(of_audio) / len(seen) if seen else 0.0


def _key(model: TrainedModel, params: ValidateParams, chosen: pd.DataFrame) -> str:
    """Return the cache key of the table; ``model.json`` holds the checksums of the weights."""
    spec = model.spec["representation"], str(model.about.get("model", ""))
    code = code_digest(
        *_CODE, f"auscult.features.representations.{spec[0]}", "auscult.models.layers", f"auscult.models.{spec[1]}"
    )
    names = chosen[["patient_id", "path", "sha256"]].to_numpy().tolist()
    return digest(model.about, params.model_dump(), names, code)
