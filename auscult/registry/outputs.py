"""Trained models on disk with their metrics and the digests that identify them, and those that MLflow holds."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import DataError
from auscult.core.paths import DATABASE, Paths
from auscult.core.storage import read_json
from auscult.versioning import lockfile

#: Tags of a run: digest of the model's files; digest of the model, its metrics and its data.
MODEL_TAG, OUTPUTS_TAG = "auscult.model", "auscult.outputs"
#: Tags of a run and a model version: MD5 of ``model.json``, as in ``dvc.lock``; name of the data set version.
MD5_TAG, DATA_TAG = "auscult.model_md5", "auscult.data"


def registered_name(dataset: str, experiment: str) -> str:
    """Return the name of an experiment's model in MLflow's registry."""
    return f"auscult-{dataset}-{experiment}"


@dataclass(frozen=True)
class Outputs:
    """The trained model and the metrics of one experiment in the working tree."""

    dataset: str
    experiment: str
    #: Digest of the model's files.
    model_digest: str
    #: Digest of the data that the model was trained on.
    data_hash: str
    #: Digest of model, data and metrics.
    digest: str
    #: Name of the data set version; empty if the model was trained on other tables.
    data_version: str
    #: Metrics of this model; ``None`` before ``evaluate`` has run.
    metrics_file: Path | None

    @property
    def folder(self) -> Path:
        return Paths(self.dataset).model(self.experiment)

    @property
    def registered_name(self) -> str:
        return registered_name(self.dataset, self.experiment)

    def lineage(self) -> dict[str, str]:
        """Return tags that identify the model and its data in DVC and git."""
        with (self.folder / "model.json").open("rb") as file:
            tags = {MD5_TAG: hashlib.file_digest(file, "md5").hexdigest()}
        return tags | {DATA_TAG: self.data_version} if self.data_version else tags

    def metrics(self) -> dict[str, float]:
        """Return the metrics of this model as ``part.name`` → value; empty before ``evaluate`` has run."""
        parts: dict[str, dict[str, Any]] = read_json(self.metrics_file) if self.metrics_file else {}
        return {
            f"{part}.{name}": float(value)
            for part, values in parts.items()
            if isinstance(values, dict)
            for name, value in values.items()
            if isinstance(value, int | float)
        }


def data_hash(dataset: str, experiment: str, recorded: Mapping[str, Any]) -> str | None:
    """Return the digest of the data that a model was trained on, from the stages of a ``dvc.lock``.

    ``None`` if the lock has no entry for the experiment, or one of another data set.
    """
    prefix = Paths(dataset).data.as_posix() + "/"
    dependencies = recorded.get(f"train@{experiment}", {}).get("deps", [])
    locked = {d["path"]: d["md5"] for d in dependencies if d["path"].startswith(prefix) and "md5" in d}
    return digest(locked) if locked else None


def is_of_described(dataset: str, experiment: str, recorded: Mapping[str, Any]) -> bool:
    """Return whether a model was trained on the tables that ``version.json`` describes, by the stages of a lock.

    It may be of a partial run: the data were described anew, and the entry of the training is of earlier ones.
    """
    described = _md5s(recorded, "describe", "deps") or _md5s(recorded, "validate", "outs")
    trained = _md5s(recorded, f"train@{experiment}", "deps")
    tables = [(Paths(dataset).manifest / f"{name}.parquet").as_posix() for name in ("recordings", "segments")]
    return all(trained.get(table) == described[table] for table in tables if table in described)


def _md5s(recorded: Mapping[str, Any], stage: str, kind: str) -> dict[str, Any]:
    return {each["path"]: each.get("md5") for each in recorded.get(stage, {}).get(kind, [])}


def _data_version(dataset: str, experiment: str, recorded: Mapping[str, Any]) -> str:
    """Return the name of the data set version if the model was trained on the same tables, else an empty string."""
    version = Paths(dataset).version
    if not version.exists() or not is_of_described(dataset, experiment, recorded):
        return ""
    return str(read_json(version).get("name") or "")


def _data_hash(dataset: str, experiment: str, recorded: Mapping[str, Any]) -> str | None:
    """Return the digest of the data that the model in the working tree was trained on.

    ``None`` if the entry in ``dvc.lock`` is of another data set: the model was tracked when it was made. Without an
    entry (a stage run without DVC) the digest of the tables that the features were made from.
    """
    if recorded.get(f"train@{experiment}", {}).get("deps"):
        return data_hash(dataset, experiment, recorded)
    paths = Paths(dataset)
    tables = (paths.manifest / "recordings.parquet", paths.split / "assignment.parquet", paths.balanced(experiment))
    return digest({str(path): file_sha256(path) for path in tables if path.exists()})


def _metrics_of(dataset: str, experiment: str) -> Path | None:
    """Return the metrics file of the present model; ``None`` if there is none, or one of an earlier model."""
    paths = Paths(dataset)
    evaluation = paths.evaluation(experiment) / "evaluation.json"
    if not paths.metrics(experiment).exists() or not evaluation.exists():
        return None
    judged = read_json(evaluation).get("model_sha256")
    return paths.metrics(experiment) if judged == file_sha256(paths.model(experiment) / "model.json") else None


def digest_of_model(folder: Path) -> str:
    """Return the digest of a trained model's folder; ``model.json`` holds the checksums of the weights."""
    files = [folder / name for name in ("model.json", "trials.json", "history.csv")]
    return digest([file_sha256(file) for file in files if file.exists()])


def find() -> Iterator[Outputs]:
    """Yield every model below ``models/``, by data set and experiment.

    Raises
    ------
    DataError
        ``dvc.lock`` is damaged.
    """
    try:
        recorded = lockfile.in_workspace()
    except lockfile.DamagedError as error:
        next_step = "auscult run, which restores it, or: git checkout dvc.lock"
        raise DataError(f"dvc.lock is damaged: {error}", where=str(lockfile.LOCK), next_step=next_step) from error
    for description in sorted(Path("models").glob("*/*/model.json")):
        dataset, experiment = description.parts[1:3]
        model_digest = digest_of_model(description.parent)
        metrics = _metrics_of(dataset, experiment)
        data = _data_hash(dataset, experiment, recorded)
        if data is None:
            continue
        everything = digest(model_digest, file_sha256(metrics) if metrics else None, data)
        version = _data_version(dataset, experiment, recorded)
        yield Outputs(dataset, experiment, model_digest, data, everything, version, metrics)


def tracked() -> set[tuple[str, str]]:
    """Return (registered name, digest of the outputs) of every finished run.

    Read from the database without MLflow, whose import takes seconds, because most calls find nothing new. A store
    that cannot be read counts as empty.
    """
    if not DATABASE.exists():
        return set()
    query = (
        "select n.value, d.value from runs r join tags n on n.run_uuid = r.run_uuid and n.key = 'auscult.name'"
        f" join tags d on d.run_uuid = r.run_uuid and d.key = '{OUTPUTS_TAG}'"
        " where r.lifecycle_stage = 'active' and r.status = 'FINISHED'"
    )
    try:
        with closing(sqlite3.connect(f"{DATABASE.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return {(str(name), str(value)) for name, value in connection.execute(query)}
    except sqlite3.Error:
        return set()
