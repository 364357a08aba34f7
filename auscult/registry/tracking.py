"""Record trained models in MLflow: experiment, parent run, nested trials, registered model version."""

from __future__ import annotations

import csv
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.core.paths import ARTIFACTS, DATABASE
from auscult.core.storage import copying_content_only, read_json
from auscult.registry import database
from auscult.registry.outputs import MODEL_TAG, OUTPUTS_TAG, Outputs, find, tracked
from auscult.registry.versions import Registry
from auscult.registry.wheel import build_wheel, library_version

#: Packages whose versions a logged model pins, beside the library itself.
REQUIREMENTS = (
    "librosa",
    "lightgbm",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "psutil",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
)
_BATCH = 900  # MLflow accepts at most 1,000 metrics at a time
_log = logging.getLogger(__name__)


def track() -> None:
    """Record every trained model in the working tree that MLflow does not hold yet.

    MLflow is imported only if there is something new: the import takes seconds, and every run of the pipeline ends
    with this step.
    """
    known = tracked()
    found = list(find())
    new = [outputs for outputs in found if (outputs.registered_name, outputs.digest) not in known]
    if not new:
        _log.info("track: %d models, nothing new", len(found))
        return
    recorder = Recorder()
    for outputs in new:
        _log.info("track: %s/%s: %s", outputs.dataset, outputs.experiment, recorder.record(outputs))
    registry = Registry()
    for dataset in sorted({outputs.dataset for outputs in new}):
        registry.record_missing(dataset)
    _log.info("track: to see them: mlflow ui --backend-store-uri sqlite:///%s", DATABASE)


class Recorder:
    """Write to the SQLite store and to the artifact folder beside it."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self._client = database.connect(DATABASE)
        import mlflow

        uri = f"sqlite:///{DATABASE.resolve()}"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)

    def record(self, outputs: Outputs) -> str:
        """Record one experiment's outputs; return a line that says what was done.

        A model that already has a run gets its new metrics there. A run that was interrupted is removed and made
        again.
        """
        experiment_id = self._experiment(outputs.dataset)
        finished = None
        for run in self._runs(experiment_id, outputs):
            if run.info.status == "FINISHED":
                # The same model on other data (such as a corrected test label) is another result.
                if finished is None and run.data.params.get("data_hash") == outputs.data_hash:
                    finished = run.info.run_id
            else:
                self._remove(experiment_id, run.info.run_id)
        if finished is not None:
            self._log(finished, outputs.metrics())
            self._register(finished, outputs)  # a kill may have come between the run and its version
            self._client.set_tag(finished, OUTPUTS_TAG, outputs.digest)
            return "new metrics"
        run_id = self._parent(experiment_id, outputs)
        trials = read_json(outputs.folder / "trials.json")
        for trial in trials["trials"]:
            self._trial(experiment_id, run_id, trial, best=trial["number"] == trials["best"])
        version = self._register(run_id, outputs)
        self._client.set_tag(run_id, OUTPUTS_TAG, outputs.digest)
        self._client.set_terminated(run_id, "FINISHED")
        return f"{len(trials['trials'])} trials, {outputs.registered_name} version {version}"

    def _experiment(self, dataset: str) -> str:
        found = self._client.get_experiment_by_name(dataset)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        return str(self._client.create_experiment(dataset, artifact_location=ARTIFACTS.resolve().as_uri()))

    def _runs(self, experiment_id: str, outputs: Outputs) -> list[Any]:
        wanted = f"tags.`{MODEL_TAG}` = '{outputs.model_digest}' and tags.`auscult.name` = '{outputs.registered_name}'"
        return list(self._client.search_runs([experiment_id], filter_string=wanted))

    def _remove(self, experiment_id: str, run_id: str) -> None:
        nested = self._client.search_runs([experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{run_id}'")
        for run in [*nested, self._client.get_run(run_id)]:
            self._client.delete_run(run.info.run_id)

    def _parent(self, experiment_id: str, outputs: Outputs) -> str:
        about = read_json(outputs.folder / "model.json")
        tags = {MODEL_TAG: outputs.model_digest, "auscult.name": outputs.registered_name, **outputs.lineage()}
        run_id = str(self._client.create_run(experiment_id, tags=tags, run_name=outputs.experiment).info.run_id)
        parameters = {
            "dataset": outputs.dataset,
            "task": about["task"]["name"],
            "features": about["spec"]["representation"],
            "model": about["model"],
            "folds": len(about["folds"]),
            "temperature": about["calibration"]["temperature"],
            "rule": about["decision"]["rule"],
            "offsets": about["decision"]["offsets"],
            "data_hash": outputs.data_hash,
            **about["hyperparameters"],
        }
        self._parameters(run_id, parameters)
        # Not under the curve's name, because MLflow shows the last step, which is rarely the chosen epoch.
        self._log(run_id, outputs.metrics(), {"model.out_of_fold_score": about["out_of_fold_score"]})
        curves = []
        with (outputs.folder / "history.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epoch, fold = row.pop("epoch"), row.pop("fold")
                prefix = "" if fold == "0" else f"fold_{fold}."
                curves.append({"epoch": epoch, **{prefix + name: value for name, value in row.items()}})
        self._log(run_id, *curves)
        return run_id

    def _trial(self, experiment_id: str, parent: str, trial: dict[str, Any], *, best: bool) -> None:
        tags = {"mlflow.parentRunId": parent, "auscult.state": trial["state"], "auscult.best": str(best).lower()}
        run = self._client.create_run(experiment_id, tags=tags, run_name=f"trial {trial['number']}")
        self._parameters(run.info.run_id, {**trial["hyperparameters"], "seed": trial["seed"]})
        self._log(run.info.run_id, *trial["epochs"])
        if trial["score"] is not None:
            self._log(run.info.run_id, {"score": trial["score"], "best_epoch": trial["best_epoch"]})
        self._client.set_terminated(run.info.run_id, "FAILED" if trial["state"] == "failed" else "FINISHED")

    def _parameters(self, run_id: str, values: dict[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run_id, params=[Param(key, str(value)) for key, value in values.items()])

    def _log(self, run_id: str, *rows: Mapping[str, Any]) -> None:
        """Log metrics; ``epoch`` of a row is the step of its other values, 0 without it."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(name, float(value), now, int(row.get("epoch", 0)))
            for row in rows
            for name, value in row.items()
            if name != "epoch" and value not in (None, "")  # a score is undefined if validation lacks a class
        ]
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])

    def _register(self, run_id: str, outputs: Outputs) -> str:
        """Return the registered version of this model; make one if there is none."""
        from mlflow.exceptions import MlflowException

        name = outputs.registered_name
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in self._client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(MODEL_TAG) == outputs.model_digest:
                return str(version.version)
        logged = _log_model(run_id, outputs)
        tags = {MODEL_TAG: outputs.model_digest, **outputs.lineage()}
        made = self._client.create_model_version(
            name, logged.model_uri, run_id=run_id, tags=tags, model_id=logged.model_id
        )
        return str(made.version)


def _log_model(run_id: str, outputs: Outputs) -> Any:
    """Log the trained model's folder with the wheel of the code that reads it; nothing is pickled."""
    from importlib.metadata import version

    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    classes = read_json(outputs.folder / "model.json")["task"]["classes"]
    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec("string", "path"),
                ColSpec("double", "start_s", required=False),
                ColSpec("double", "end_s", required=False),
            ]
        ),
        outputs=Schema([ColSpec("string", "label"), *(ColSpec("double", f"probability_{name}") for name in classes)]),
    )
    requirements = [f"auscult[serve]=={library_version()}", *(f"{name}=={version(name)}" for name in REQUIREMENTS)]
    wheel = build_wheel()
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow.start_run(run_id=run_id),
        copying_content_only(),
        warnings.catch_warnings(),
    ):
        # A copy: MLflow refuses links, which the files are where DVC's cache.type is symlink.
        copied = shutil.copytree(outputs.folder, Path(scratch) / outputs.folder.name, copy_function=shutil.copyfile)
        artifacts = {"model": str(copied)} | ({"wheel": str(wheel)} if wheel is not None else {})
        warnings.filterwarnings("ignore", message=".*input example.*")  # an example would need an audio file
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("mlflow_model.py")),
            artifacts=artifacts,
            signature=signature,
            pip_requirements=requirements,
            metadata={"classes": list(classes)},
        )
