"""Find the models that have learned from patients, and remove their runs and versions from MLflow for good.

``mlflow gc`` would also remove runs of other data sets that are marked as deleted. Two methods of MLflow's store that
this needs are private; a test covers them.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from auscult.core.errors import DataError
from auscult.core.paths import ARTIFACTS, DATABASE, Paths
from auscult.core.storage import read_json
from auscult.curation.lineage.registered import pages
from auscult.registry.outputs import MODEL_TAG, registered_name
from auscult.registry.versions import Registry, Version
from auscult.training.trained_model import DESCRIPTION

_PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class LearnedVersion:
    """A registered version that has learned from one of the patients.

    Attributes
    ----------
    champion
        Whether it is in service.
    """

    experiment: str
    version: Version
    champion: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"experiment": self.experiment, "version": self.version.number, "champion": self.champion}

    def __str__(self) -> str:
        return f"{self.experiment} version {self.version.number}{', in service' if self.champion else ''}"


def in_workspace(dataset: str, keys: Collection[str], root: Path = Path()) -> list[str]:
    """Return the experiments and combinations whose model has learned from one of these patients."""
    paths = Paths(dataset)
    places = (root / paths.model("x").parent, root / paths.all_combined)
    folders = (path.parent for place in places for path in sorted(place.glob(f"*/{DESCRIPTION}")))
    return [folder.name for folder in folders if has_learned(folder, keys)]


def registered(dataset: str, keys: Collection[str], root: Path = Path()) -> list[LearnedVersion]:
    """Return the registered versions that have learned from one of these patients, by experiment, the newest first."""
    if not (root / DATABASE).exists():
        return []
    registry, found = Registry(root), []
    for experiment in registry.experiments(dataset):
        champion = registry.champion(dataset, experiment)
        for version in registry.versions(dataset, experiment):
            package = _in_repository(version.package, root)
            if has_learned(replace(version, package=package).folder, keys):
                serves = champion is not None and champion.number == version.number
                found.append(LearnedVersion(experiment, version, serves))
    return found


def has_learned(folder: Path, keys: Collection[str]) -> bool:
    """Return whether the model in a folder has learned from one of these patients; true if it does not record this."""
    try:
        learned_from = read_json(folder / DESCRIPTION).get("learned_from")
    except (DataError, AttributeError):
        return True
    return not isinstance(learned_from, list) or not set(keys).isdisjoint(learned_from)


@dataclass(frozen=True)
class Tracked:
    """What MLflow holds of models that have learned from the patients.

    Attributes
    ----------
    versions
        Registered versions.
    runs
        Ids: of the runs that made the versions, other runs of the same models, their trials, and runs of the data set
        that are in MLflow's bin.
    models
        Ids of logged models.
    """

    versions: list[LearnedVersion]
    runs: list[str]
    models: list[str]

    def __bool__(self) -> bool:
        return bool(self.versions or self.runs or self.models)


def tracked(dataset: str, keys: Collection[str], root: Path) -> Tracked:
    """Return what MLflow holds; nothing if there is no database."""
    if not (root / DATABASE).exists():
        return Tracked([], [], [])
    versions, client = registered(dataset, keys, root), Registry(root).client
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None:
        return Tracked(versions, [], [])
    from mlflow.entities import ViewType  # slow to import, and most purges without a database never need it

    models = {(registered_name(dataset, each.experiment), each.version.digest) for each in versions}
    runs = dict.fromkeys(each.version.run_id for each in versions)
    found = []
    options = {"run_view_type": ViewType.ALL, "max_results": 1000, "order_by": ["start_time ASC"]}
    for run in pages(client.search_runs, [experiment.experiment_id], **options):  # a trial is younger than its run
        tags, run_id = run.data.tags, run.info.run_id
        same_model = (tags.get("auscult.name"), tags.get(MODEL_TAG)) in models
        if same_model or run_id in runs or tags.get(_PARENT_TAG) in runs or run.info.lifecycle_stage == "deleted":
            runs[run_id] = None
            found.append(run_id)
    logged = pages(client.search_logged_models, [experiment.experiment_id])
    return Tracked(versions, found, [model.model_id for model in logged if model.source_run_id in runs])


def remove(found: Tracked, dataset: str, root: Path) -> list[str]:
    """Remove logged models and runs with their artifacts, then versions, then what the database kept of the rows.

    The versions are removed last: while they exist, what a killed call left is found again.

    Returns
    -------
    list of str
        Artifacts outside the repository: they are left, and so are the versions, for a person to remove.
    """
    registry = Registry(root)
    client = registry.client
    store = client._tracking_client.store
    outside: list[str] = []
    for model in found.models:
        uri = str(store.get_logged_model(model, allow_deleted=True).artifact_location)
        if _remove_artifacts(uri, root):
            store._hard_delete_logged_model(model)
        else:
            outside.append(uri)
    for run in reversed(found.runs):  # trials before the run that they are part of
        uri = str(client.get_run(run).info.artifact_uri)
        if _remove_artifacts(uri, root):
            store._hard_delete_run(run)
        else:
            outside.append(uri)
    for each in found.versions if not outside else ():
        client.delete_model_version(registered_name(dataset, each.experiment), each.version.number)
        registry.record(dataset, each.experiment)
    with closing(sqlite3.connect(root / DATABASE)) as connection:
        connection.execute("VACUUM")  # SQLite leaves deleted rows in the file until it needs the space
    return outside


def _in_repository(path: Path, root: Path) -> Path:
    """Return where an artifact lies in this repository; the path unchanged if it is not there.

    MLflow records absolute paths. In a repository that was moved or copied they do not exist, or they lead to another
    copy, whose artifacts must stay.
    """
    parts = path.parts
    if ARTIFACTS.name not in parts:
        return path
    own = root.resolve().joinpath(*parts[len(parts) - parts[::-1].index(ARTIFACTS.name) - 1 :])
    return own if own.exists() else path


def _remove_artifacts(uri: str, root: Path) -> bool:
    """Remove a folder of artifacts; return False if it lies outside the repository."""
    folder = _in_repository(Path(unquote(urlsplit(uri).path)), root)
    if not folder.is_relative_to(root / ARTIFACTS):
        return not folder.exists() and uri.startswith("file:")
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # the folder that was made for it, unless something else is in it
        folder.parent.rmdir()
    return True
