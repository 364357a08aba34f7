"""A repository with generated ``dvc.lock`` files and a model registry, which can be made to disagree."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from auscult.core.paths import ARTIFACTS, DATABASE, Paths
from auscult.registry.outputs import DATA_TAG, MD5_TAG, MODEL_TAG, data_hash, digest_of_model, registered_name
from tests.flows.repositories import git, make

REPOSITORY = Path(__file__).resolve().parents[2]
DATASET, EXPERIMENT, OTHER = "sample", "sounds_logmel_cnn2d", "abnormal_logmel_cnn2d"


def md5(text: str) -> str:
    """Return an MD5 as DVC writes it."""
    return hashlib.md5(text.encode()).hexdigest()


def stages(models: Mapping[str, tuple[str, str]], dataset: str = DATASET, described: str = "") -> dict[str, Any]:
    """Return the stages of a lock: experiment → (content of ``model.json``, content of its data).

    Parameters
    ----------
    described
        Content of the data that the stage ``describe`` read; without it there is no such stage.
    """
    made: dict[str, Any] = {"validate": {"cmd": "v", "outs": [{"path": f"data/{dataset}/manifest", "md5": "0.dir"}]}}
    tables = [f"data/{dataset}/manifest/{name}.parquet" for name in ("recordings", "segments")]
    if described:
        made["describe"] = {"cmd": "d", "deps": [{"path": table, "md5": md5(described + table)} for table in tables]}
    for experiment, (model, data) in models.items():
        deps = [
            {"path": f"data/{dataset}/split/assignment.parquet", "hash": "md5", "md5": md5(data)},
            {"path": "auscult/core/digests.py", "hash": "md5", "md5": md5("code")},
            *({"path": table, "hash": "md5", "md5": md5(data + table)} for table in tables),
        ]
        outs = [{"path": f"models/{dataset}/{experiment}/model.json", "hash": "md5", "md5": md5(model)}]
        made[f"train@{experiment}"] = {"cmd": f"python -m stages.train {experiment}", "deps": deps, "outs": outs}
    return made


def about(version: str) -> dict[str, Any]:
    """Return the ``version.json`` of a version with that digest, with keys that the stage ``describe`` writes."""
    said = {"name": f"sample-{version[:8]}", "content_sha256": version, "recordings": 7, "patients": 3}
    assert said.keys() <= json.loads((REPOSITORY / Paths(DATASET).version).read_text()).keys()
    return said


def hash_of(data: str, experiment: str = EXPERIMENT) -> str:
    """Return the digest of these data as a run records it."""
    found = data_hash(DATASET, experiment, stages({experiment: ("", data)}))
    assert found is not None
    return found


class LineageRepository:
    """The repository, and MLflow's store in it.

    Parameters
    ----------
    store
        An empty ``mlflow.db``, as creating one takes seconds.
    """

    def __init__(self, root: Path, store: Path) -> None:
        from mlflow.tracking import MlflowClient

        self.root = make(root)
        shutil.copy2(REPOSITORY / "params.yaml", root / "params.yaml")
        shutil.copy2(store, root / DATABASE)
        self.client = MlflowClient(f"sqlite:///{root / DATABASE}", f"sqlite:///{root / DATABASE}")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "parameters")

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def lock(
        self, message: str, *, version: str = "", described: str = "", commit: bool = True, **models: tuple[str, str]
    ) -> str:
        """Write a lock, and commit it; return the commit."""
        text = yaml.safe_dump({"schema": "2.0", "stages": stages(models, described=described)}, sort_keys=False)
        (self.root / "dvc.lock").write_text(text)
        if version:
            place = self.root / Paths(DATASET).version
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(about(version)))
        if commit:
            self.git("add", "-A")
            self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def register(
        self,
        model: str,
        data: str,
        *,
        experiment: str = EXPERIMENT,
        tagged: bool = True,
        version: str = "",
        score: float = 0.5,
    ) -> str:
        """Create a run and its version as tracking does, without tags as earlier releases did; return the run."""
        name = registered_name(DATASET, experiment)
        folder = self.package(model) / "artifacts" / experiment
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "model.json").write_text(model)
        digest = digest_of_model(folder)
        tags = {MODEL_TAG: digest, **({MD5_TAG: md5(model)} if tagged else {})}
        run_tags = tags | {"auscult.name": name} | ({DATA_TAG: version} if version else {})
        run = str(self.client.create_run(self._experiment(), tags=run_tags).info.run_id)
        self.client.log_param(run, "data_hash", hash_of(data, experiment))
        self.client.log_metric(run, "validation.score", score)
        self.client.set_terminated(run, "FINISHED")
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name)
        there = [each.tags.get(MODEL_TAG) for each in self.client.search_model_versions(f"name = '{name}'")]
        if digest not in there:
            self.client.create_model_version(name, self.package(model).resolve().as_uri(), run, tags=tags)
        return run

    def package(self, model: str) -> Path:
        """Return the folder of a registered model's files."""
        return self.root / ARTIFACTS / md5(model)[:8]

    def alias(self, alias: str, number: str, experiment: str = EXPERIMENT) -> None:
        self.client.set_registered_model_alias(registered_name(DATASET, experiment), alias, number)

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(DATASET)
        return str(found.experiment_id if found else self.client.create_experiment(DATASET))
