"""Read registered models from MLflow: their runs, the data that these name, their files and scores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.registry.outputs import DATA_TAG, MD5_TAG, MODEL_TAG, digest_of_model
from auscult.registry.versions import Registry, Version
from auscult.training.trained_model import DESCRIPTION

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_PREFIX = "auscult-"
_SCORES = ("validation.score", "test.score")


@dataclass(frozen=True)
class Run:
    """One run of a model. A model that was trained to the same files on other data as well has several.

    Attributes
    ----------
    data_hash
        Digest of the data (:func:`auscult.registry.outputs.data_hash`); empty if the run has none.
    data_version
        Name of the data set version; empty for runs older than these names.
    """

    run_id: str
    data_hash: str
    data_version: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes
    ----------
    md5
        MD5 of ``model.json``, as in ``dvc.lock``; empty if there is neither a tag nor the file.
    runs
        The version's own first; empty if it was deleted.
    altered
        Whether its files differ from those that were registered.
    """

    name: str
    dataset: str
    experiment: str
    number: str
    aliases: tuple[str, ...]
    digest: str
    md5: str
    runs: tuple[Run, ...]
    altered: bool

    @property
    def data(self) -> tuple[str, ...]:
        """The digests of the data that its runs name, sorted."""
        return tuple(sorted({run.data_hash for run in self.runs} - {""}))

    def __str__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name} version {self.number}{aliases}"


def registered(root: Path) -> list[Registered]:
    """Return every version of every registered model, by name, the newest first.

    Raises
    ------
    AuscultError
        There is no registry.
    """
    registry = Registry(root)
    runs_of = cache(partial(_runs_of_models, registry.client))
    found = []
    for model in registry.client.search_registered_models(max_results=1000):
        dataset, _, experiment = model.name.removeprefix(_PREFIX).partition("-")
        if not model.name.startswith(_PREFIX) or not experiment:
            continue
        for version in registry.versions(dataset, experiment):
            runs = _runs_of_version(registry.client, runs_of(dataset), model.name, version)
            description = version.folder / DESCRIPTION
            exists, md5 = description.is_file(), version.tags.get(MD5_TAG, "")
            found.append(
                Registered(
                    name=model.name,
                    dataset=dataset,
                    experiment=experiment,
                    number=version.number,
                    aliases=tuple(sorted(a for a, number in model.aliases.items() if str(number) == version.number)),
                    digest=version.digest,
                    md5=hashlib.md5(description.read_bytes()).hexdigest() if exists and not md5 else md5,
                    runs=tuple(map(_run, runs)),
                    altered=exists and digest_of_model(version.folder) != version.digest,
                )
            )
    return found


def pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
    """Yield the results of a search of MLflow, page by page."""
    token: str | None = None
    while True:
        page = search(*arguments, **options, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _runs_of_models(client: MlflowClient, dataset: str) -> list[Any]:
    """Return the runs of a data set's models; trials, which are many, have no name of a model."""
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None:
        return []
    names = f"tags.`auscult.name` LIKE '{_PREFIX}%'"
    return list(pages(client.search_runs, [experiment.experiment_id], filter_string=names, max_results=1000))


def _runs_of_version(client: MlflowClient, runs: list[Any], name: str, version: Version) -> list[Any]:
    """Return the runs of a registered version, its own first."""
    from mlflow.exceptions import MlflowException  # slow to import

    own = [run for run in runs if run.info.run_id == version.run_id]
    if not own:
        with suppress(MlflowException):
            run = client.get_run(version.run_id)
            own = [run] if run.info.lifecycle_stage == "active" else []
    others = [
        run
        for run in runs
        if run.info.run_id != version.run_id
        and run.info.status == "FINISHED"
        and run.data.tags["auscult.name"] == name
        and run.data.tags.get(MODEL_TAG) == version.digest
    ]
    return [*own, *sorted(others, key=lambda run: run.info.start_time)]


def _run(run: Any) -> Run:
    scores = {key.partition(".")[0]: float(run.data.metrics[key]) for key in _SCORES if key in run.data.metrics}
    tags, parameters = run.data.tags, run.data.params
    return Run(run.info.run_id, parameters.get("data_hash", ""), tags.get(DATA_TAG, ""), scores)
