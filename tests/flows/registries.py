"""A model registry with registered versions, made without training."""

from __future__ import annotations

from pathlib import Path

from auscult.core.paths import ARTIFACTS, DATABASE
from auscult.registry.outputs import MODEL_TAG, registered_name
from auscult.registry.versions import Registry

DATASET, EXPERIMENT = "sample", "abnormal_logmel_cnn2d"


def fill(root: Path, versions: int = 3) -> Registry:
    """Make a registry below *root* whose versions 1, 2 … have the digests ``digest-1``, ``digest-2`` …"""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{(root / DATABASE).resolve()}"
    client = MlflowClient(uri, uri)
    experiment = client.create_experiment(DATASET, artifact_location=(root / ARTIFACTS).resolve().as_uri())
    name = registered_name(DATASET, EXPERIMENT)
    client.create_registered_model(name)
    for number in range(1, versions + 1):
        package = root / ARTIFACTS / f"package-{number}"
        (package / "artifacts" / EXPERIMENT).mkdir(parents=True)
        (package / "artifacts" / EXPERIMENT / "model.json").write_text("{}")
        run = client.create_run(experiment).info.run_id
        client.create_model_version(name, package.resolve().as_uri(), run, tags={MODEL_TAG: f"digest-{number}"})
    return Registry(root)


def in_service(registry: Registry) -> str | None:
    """Return the number of the champion."""
    champion = registry.champion(DATASET, EXPERIMENT)
    return champion.number if champion is not None else None
