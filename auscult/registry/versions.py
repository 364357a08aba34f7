"""Which model serves: the aliases ``champion`` and ``challenger`` of MLflow's registry, and why.

Each change of the champion leaves its record with the model version: tags that say who came before, since
when and by which rule, and the decision itself as an artifact of the version's run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from auscult.core.errors import AuscultError
from auscult.core.paths import DATABASE
from auscult.registry.outputs import MODEL_TAG, registered_name

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
#: Tags of a model version: the champion before it, when and by which rule it was promoted, why it was withdrawn.
BEFORE, SINCE, RULE, REASON, WITHDRAWN = (
    f"auscult.{name}" for name in ("before", "since", "rule", "reason", "withdrawn")
)
_NONE = "none"


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    number
        As MLflow counts them.
    run_id
        The run that made it.
    digest
        Of the model's files.
    tags
        All of them.
    package
        Folder of the logged model: code, environment, artifacts.
    """

    number: str
    run_id: str
    digest: str
    tags: Mapping[str, str]
    package: Path

    @property
    def folder(self) -> Path:
        """The trained folder in the package (:class:`auscult.training.trained_model.TrainedModel`)."""
        return next(iter(sorted(self.package.glob("artifacts/*/model.json"))), self.package / "model.json").parent


class Registry:
    """The registry of one repository.

    Parameters
    ----------
    root
        The repository's root, where ``mlflow.db`` lies.
    """

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        database = (root / DATABASE).resolve()
        if not database.exists():
            raise AuscultError(
                "there is no model registry here yet",
                where=str(database),
                next_step="make repro, which tracks what it trains",
            )
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._client: MlflowClient = MlflowClient(f"sqlite:///{database}", f"sqlite:///{database}")

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client of this registry."""
        return self._client

    def experiments(self, dataset: str) -> list[str]:
        """Experiments of a data set that have a registered model, also those that ``params.yaml`` no longer names."""
        prefix = registered_name(dataset, "")
        found = self._client.search_registered_models(filter_string=f"name LIKE '{prefix}%'", max_results=1000)
        return sorted(model.name.removeprefix(prefix) for model in found)

    def champion(self, dataset: str, experiment: str) -> Version | None:
        """The version in service."""
        return self._aliased(dataset, experiment, CHAMPION)

    def challenger(self, dataset: str, experiment: str) -> Version | None:
        """The version that was last put up against it."""
        return self._aliased(dataset, experiment, CHALLENGER)

    def version(self, dataset: str, experiment: str, number: str) -> Version:
        """A version by its number.

        Raises
        ------
        AuscultError
            There is none; the message names those that there are.
        """
        known = self.versions(dataset, experiment)
        found = next((version for version in known if version.number == number), None)
        if found is None:
            there = ", ".join(version.number for version in known) or "none"
            raise AuscultError(
                f"{registered_name(dataset, experiment)} has no version {number!r}; there are: {there}",
                where="mlflow.db",
                next_step="name one of these, or: make repro",
            )
        return found

    def versions(self, dataset: str, experiment: str) -> list[Version]:
        """All versions, the newest first."""
        found = self._client.search_model_versions(f"name = '{registered_name(dataset, experiment)}'")
        return [self._version(each) for each in sorted(found, key=lambda v: int(v.version), reverse=True)]

    def put_up(self, dataset: str, experiment: str, version: Version) -> None:
        """Make a version the challenger."""
        self._client.set_registered_model_alias(registered_name(dataset, experiment), CHALLENGER, version.number)

    def promote(self, dataset: str, experiment: str, version: Version, decision: Mapping[str, Any]) -> None:
        """Put a version into service. Doing it twice changes nothing.

        Parameters
        ----------
        decision
            Its ``rule`` and ``reason`` become tags; all of it should have been kept by :meth:`keep_record` before.
        """
        name = registered_name(dataset, experiment)
        current = self.champion(dataset, experiment)
        if current is not None and current.number == version.number:
            return
        tags = {
            BEFORE: current.number if current is not None else _NONE,
            SINCE: _now(),
            RULE: str(decision["rule"]),
            REASON: str(decision["reason"])[:4000],
        }
        for key, value in tags.items():  # before the alias: whoever sees the new champion can read why
            self._client.set_model_version_tag(name, version.number, key, value)
        if WITHDRAWN in version.tags:
            self._client.delete_model_version_tag(name, version.number, WITHDRAWN)
        self._client.set_registered_model_alias(name, CHAMPION, version.number)

    def roll_back(self, dataset: str, experiment: str, because: str) -> tuple[Version, Version]:
        """Put the champion before the present one into service again; returns (withdrawn, restored).

        The withdrawn version is marked, and no retraining promotes that model again.

        Raises
        ------
        AuscultError
            Nothing is in service, or nothing was before.
        """
        name = registered_name(dataset, experiment)
        current = self.champion(dataset, experiment)
        if current is None:
            raise AuscultError(
                f"nothing is in service for {experiment} of {dataset}",
                where="mlflow.db",
                next_step=f"python -m auscult.cli promote {experiment} --because …",
            )
        restored = self._before(dataset, experiment, current)
        if restored is None:
            raise AuscultError(
                f"version {current.number} of {name}: nothing was in service before it that is not withdrawn",
                where="mlflow.db",
                next_step=f"put another into service: python -m auscult.cli promote {experiment} --version N --because …",
            )
        # The mark first: after a kill in between, the same command again ends at the same version.
        self._client.set_model_version_tag(name, current.number, WITHDRAWN, f"{_now()}: {because}"[:4000])
        self._client.set_registered_model_alias(name, CHAMPION, restored.number)
        return current, restored

    def _before(self, dataset: str, experiment: str, current: Version) -> Version | None:
        """The last one in service before a version and not withdrawn since: one promoted twice leads in a circle."""
        known = {version.number: version for version in self.versions(dataset, experiment)}
        seen, before = {current.number}, current.tags.get(BEFORE, _NONE)
        while before in known and before not in seen:  # one that learned from a patient who withdrew may be gone
            found = known[before]
            if WITHDRAWN not in found.tags:
                return found
            seen.add(before)
            before = found.tags.get(BEFORE, _NONE)
        return None

    def keep_record(self, version: Version, folder: Path) -> None:
        """Keep the files of a decision beside the version: artifacts of its run, under ``decision/<folder's name>``."""
        self._client.log_artifacts(version.run_id, str(folder), f"decision/{folder.name}")

    def by_digest(self, dataset: str, experiment: str, digest: str) -> Version:
        """The version that was registered for a model's files.

        Raises
        ------
        AuscultError
            It was not registered.
        """
        for version in self.versions(dataset, experiment):
            if version.digest == digest:
                return version
        raise AuscultError(
            f"the model of {experiment} is not in the registry",
            where="mlflow.db",
            next_step="python -m auscult.registry",
        )

    def _aliased(self, dataset: str, experiment: str, alias: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version_by_alias(registered_name(dataset, experiment), alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return self._version(found)

    def _version(self, found: ModelVersion) -> Version:
        uri = str(self._client.get_model_version_download_uri(found.name, found.version))
        return Version(
            number=str(found.version),
            run_id=str(found.run_id),
            digest=str(found.tags.get(MODEL_TAG, "")),
            tags=dict(found.tags),
            package=Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri),
        )


def champion_folder(dataset: str, experiment: str, root: Path = Path()) -> Path | None:
    """The trained folder of the model in service; ``None`` where nothing is."""
    if not (root / DATABASE).exists():
        return None
    champion = Registry(root).champion(dataset, experiment)
    return champion.folder if champion is not None else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
