"""Runs and model versions in MLflow, removed for good: rows and artifacts.

``mlflow gc`` would also remove what somebody else has put into MLflow's bin; here go the runs that are named, and no
others. The two methods of the store that it uses are private to MLflow, and held by a test.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from auscult.core.paths import ARTIFACTS, DATABASE
from auscult.curation.withdrawals.learned import Registered, here, registered
from auscult.registry.outputs import MODEL_TAG, registered_name
from auscult.registry.versions import Registry

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_NESTED = "mlflow.parentRunId"


@dataclass(frozen=True)
class Tracked:
    """What MLflow holds of models that learned from somebody.

    Attributes
    ----------
    versions
        Registered ones.
    runs
        Ids: those that made the versions, other runs of the same models, their trials, and runs of the data set that
        were in MLflow's bin already.
    models
        Ids of logged models.
    """

    versions: list[Registered]
    runs: list[str]
    models: list[str]

    def __bool__(self) -> bool:
        return bool(self.versions or self.runs or self.models)


def tracked(dataset: str, keys: Collection[str], root: Path) -> Tracked:
    """Find them; nothing where there is no database."""
    if not (root / DATABASE).exists():
        return Tracked([], [], [])
    versions = registered(dataset, keys, root)
    client = Registry(root).client
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None:
        return Tracked(versions, [], [])
    digests = {(registered_name(dataset, each.experiment), each.version.digest) for each in versions}
    wanted: dict[str, None] = {}
    for run in _runs(client, experiment.experiment_id):
        tags = run.data.tags
        mine = (tags.get("auscult.name"), tags.get(MODEL_TAG)) in digests
        of_version = run.info.run_id in {each.version.run_id for each in versions}
        if mine or of_version or tags.get(_NESTED) in wanted or run.info.lifecycle_stage == "deleted":
            wanted[run.info.run_id] = None
    runs = list(wanted)
    return Tracked(versions, runs, _models(client, experiment.experiment_id, set(runs)))


def remove(found: Tracked, dataset: str, root: Path) -> list[str]:
    """Remove versions, then logged models and runs with their artifacts; then what the database kept of the rows.

    The versions go last: as long as they are there, what a killed call left is found again.

    Returns
    -------
    list of str
        Where artifacts lie outside the repository: they are left, and so are the versions, for a person to remove.
    """
    registry = Registry(root)
    client, store = registry.client, _store(registry.client)
    outside: list[str] = []
    for model in found.models:
        uri = str(store.get_logged_model(model, allow_deleted=True).artifact_location)
        if _removed_artifacts(uri, root):
            store._hard_delete_logged_model(model)
        else:
            outside.append(uri)
    for run in reversed(found.runs):  # trials before the run that they are part of
        uri = str(client.get_run(run).info.artifact_uri)
        if _removed_artifacts(uri, root):
            store._hard_delete_run(run)
        else:
            outside.append(uri)
    for each in found.versions if not outside else ():
        client.delete_model_version(registered_name(dataset, each.experiment), each.version.number)
    with closing(sqlite3.connect(root / DATABASE)) as connection:
        connection.execute("VACUUM")  # SQLite leaves what was deleted in the file until it needs the room
    return outside


def _runs(client: MlflowClient, experiment_id: str) -> Iterable[Any]:
    """All runs, those in the bin too, the oldest first: a trial is younger than the run that it is part of."""
    from mlflow.entities import ViewType

    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id], run_view_type=ViewType.ALL, max_results=1000, order_by=["start_time ASC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _models(client: MlflowClient, experiment_id: str, runs: set[str]) -> list[str]:
    """Ids of the models that these runs logged."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_logged_models([experiment_id], page_token=token)
        found += [model.model_id for model in page if model.source_run_id in runs]
        token = page.token
        if not token:
            return found


def _store(client: MlflowClient) -> Any:
    return client._tracking_client.store


def _removed_artifacts(uri: str, root: Path) -> bool:
    """Remove a folder of artifacts; False where it lies outside the repository."""
    folder = here(Path(unquote(urlsplit(uri).path)), root)
    if not folder.is_relative_to(root / ARTIFACTS):
        return not folder.exists() and uri.startswith("file:")
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # the folder that was made for it, unless something else is in it
        folder.parent.rmdir()
    return True
