"""Registered model versions, and which one is in service: the aliases ``champion`` and ``challenger`` in MLflow.

A promotion sets tags of the model version: the previous champion, the time, the rule and the reason. The record of
the decision is an artifact of the version's run. Every change is also recorded in git
(:mod:`auscult.registry.service_record`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from auscult.core.errors import AuscultError
from auscult.core.paths import DATABASE
from auscult.core.storage import copying_content_only, read_json
from auscult.registry import database, service_record
from auscult.registry.outputs import MD5_TAG, MODEL_TAG, registered_name
from auscult.versioning.commands import CommandError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
#: Tags of a model version: the champion before it; when, by which rule and why it was promoted; when and why it was
#: rolled back or retired; when and why it was restored; what it may have lost against an earlier champion. They are
#: stored in users' registries and keep their keys ("withdrawn").
SERVICE_TAGS = BEFORE, SINCE, RULE, REASON, ROLLED_BACK, RESTORED, LOSS = tuple(
    f"auscult.{name}" for name in ("before", "since", "rule", "reason", "withdrawn", "restored", "loss")
)
#: Tag of a challenger: its comparisons (:func:`auscult.registry.gate.allowance.noted`).
DECIDED = "auscult.decided"
#: Rule of a promotion by a person, and its value in tags that earlier versions of Auscult wrote.
MANUAL, _MANUAL_BEFORE = "manual", "by_hand"
_NONE = "none"
_TIME = "%Y-%m-%d %H:%M UTC"
_LONGEST_TAG = 4000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A registered model version."""

    #: MLflow's version number.
    number: str
    #: The run that made it.
    run_id: str
    #: Digest of the model's files.
    digest: str
    #: All tags.
    tags: Mapping[str, str]
    #: Folder of the logged model: code, environment, artifacts.
    package: Path
    #: When it was registered.
    created: str = ""

    @property
    def folder(self) -> Path:
        """Folder of the trained model in the package (:class:`auscult.training.trained_model.TrainedModel`)."""
        return next(iter(sorted(self.package.glob("artifacts/*/model.json"))), self.package / "model.json").parent

    def to_record(self) -> dict[str, Any]:
        """Return what is needed to find and to mark this version again: plain data."""
        md5, description = self.tags.get(MD5_TAG, ""), self.folder / "model.json"
        if not md5 and description.is_file():
            md5 = hashlib.md5(description.read_bytes()).hexdigest()
        tags = {key: self.tags[key] for key in SERVICE_TAGS if key in self.tags}
        return {"number": self.number, "digest": self.digest, "md5": md5, "tags": tags}

    @property
    def rule(self) -> str:
        """The rule by which it was promoted; empty if it never was."""
        rule = self.tags.get(RULE, "")
        return MANUAL if rule == _MANUAL_BEFORE else rule


class Registry:
    """The registry of the repository at *root*, where ``mlflow.db`` lies. ``client`` is MLflow's client of it."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root.resolve()
        place = self.root / DATABASE
        if not place.exists():
            known, run = service_record.exists(self.root), "auscult run, which registers the models that it trains"
            raise AuscultError(
                f"there is no model registry here{', although git records models in service' if known else ' yet'}",
                where=str(place),
                next_step="auscult models restore" if known else run,
            )
        self.client = database.connect(place)

    def experiments(self, dataset: str) -> list[str]:
        """Return the experiments with a registered model, also those that ``params.yaml`` no longer names."""
        prefix = registered_name(dataset, "")
        found = self.client.search_registered_models(filter_string=f"name LIKE '{prefix}%'", max_results=1000)
        return sorted(model.name.removeprefix(prefix) for model in found)

    def champion(self, dataset: str, experiment: str) -> Version | None:
        """Return the version in service."""
        return self._aliased(dataset, experiment, CHAMPION)

    def challenger(self, dataset: str, experiment: str) -> Version | None:
        """Return the version that was last compared with the champion."""
        return self._aliased(dataset, experiment, CHALLENGER)

    def version(self, dataset: str, experiment: str, number: str) -> Version:
        """Return a version by its number.

        Raises
        ------
        AuscultError
            There is none; the message names those that exist.
        """
        known = self.versions(dataset, experiment)
        for version in known:
            if version.number == number:
                return version
        numbers = ", ".join(version.number for version in known) or "none"
        raise AuscultError(
            f"{registered_name(dataset, experiment)} has no version {number!r}; there are: {numbers}",
            where="mlflow.db",
            next_step="name one of these, or: auscult run",
        )

    def versions(self, dataset: str, experiment: str) -> list[Version]:
        """Return all versions, the newest first."""
        found = self.client.search_model_versions(f"name = '{registered_name(dataset, experiment)}'")
        return [self._version(each) for each in sorted(found, key=lambda v: int(v.version), reverse=True)]

    def set_challenger(self, dataset: str, experiment: str, version: Version) -> None:
        """Make a version the challenger."""
        self.client.set_registered_model_alias(registered_name(dataset, experiment), CHALLENGER, version.number)

    def note_decision(self, dataset: str, experiment: str, version: Version, note: str) -> None:
        """Keep the note of a challenger's comparisons with its version."""
        self.client.set_model_version_tag(registered_name(dataset, experiment), version.number, DECIDED, note)

    def promote(self, dataset: str, experiment: str, version: Version, decision: Mapping[str, Any]) -> None:
        """Put a version into service if it is not; ``rule``, ``reason`` and ``loss`` of *decision* become its tags."""
        name = registered_name(dataset, experiment)
        current = self.champion(dataset, experiment)
        if current is not None and current.number == version.number:
            self.record(dataset, experiment)  # a kill may have come between the alias and the record
            return
        tags = {
            BEFORE: current.number if current is not None else _NONE,
            SINCE: _now(),
            RULE: str(decision["rule"]),
            REASON: str(decision["reason"])[:_LONGEST_TAG],
            LOSS: str(decision.get("loss", 0.0)),  # none where a person decided
        }
        for key, value in tags.items():  # before the alias, so that a new champion always has its reason
            self.client.set_model_version_tag(name, version.number, key, value)
        for key in {ROLLED_BACK, RESTORED} & set(version.tags):
            self.client.delete_model_version_tag(name, version.number, key)
        self.client.set_registered_model_alias(name, CHAMPION, version.number)
        self.record(dataset, experiment)

    def roll_back(self, dataset: str, experiment: str, because: str) -> tuple[Version, Version]:
        """Put the previous champion into service again; return the versions (rolled back, restored).

        The version that is rolled back is marked: no retraining promotes that model again.

        Raises
        ------
        AuscultError
            Nothing is in service, or there is no previous champion.
        """
        name = registered_name(dataset, experiment)
        current = self._served(dataset, experiment)
        restored = self._before(dataset, experiment, current)
        if restored is None:
            raise AuscultError(
                f"version {current.number} of {name} has no earlier champion that was not rolled back as well",
                where="mlflow.db",
                next_step=f"promote another version: auscult models promote {experiment} --version N --because …;"
                f" or leave nothing in service: auscult models retire {experiment} --because …",
            )
        now = _now()
        # The tags before the alias: after a kill in between, the same command restores the same version.
        self._tag(name, current, ROLLED_BACK, f"{now}: {because}")
        self._tag(name, restored, RESTORED, f"{now}: version {current.number} was rolled back: {because}")
        self.client.set_registered_model_alias(name, CHAMPION, restored.number)
        self.record(dataset, experiment)
        return current, restored

    def retire(self, dataset: str, experiment: str, because: str) -> Version:
        """Take the version in service out of it, with nothing in its place; return it.

        It is marked as by a rollback: no retraining promotes that model again.

        Raises
        ------
        AuscultError
            Nothing is in service.
        """
        name, current = registered_name(dataset, experiment), self._served(dataset, experiment)
        self._tag(name, current, ROLLED_BACK, f"{_now()}: {because}")  # before the alias, as in roll_back
        self.client.delete_registered_model_alias(name, CHAMPION)
        self.record(dataset, experiment)
        return current

    def restore(self, dataset: str, experiment: str, tags: Mapping[str, Mapping[str, str]], champion: str) -> None:
        """Set the tags that a record has, version number → tags, and the champion if none is in service."""
        name = registered_name(dataset, experiment)
        for number, recorded in tags.items():
            for key, value in recorded.items():
                self.client.set_model_version_tag(name, number, key, value)
        if champion and self.champion(dataset, experiment) is None:
            self.client.set_registered_model_alias(name, CHAMPION, champion)

    def record(self, dataset: str, experiment: str) -> None:
        """Record in git what is in service, and every version that served or was rolled back."""
        champion = self.champion(dataset, experiment)
        served = [each for each in self.versions(dataset, experiment) if set(SERVICE_TAGS) & set(each.tags)]
        if champion is not None and champion.number not in {each.number for each in served}:  # set in MLflow's page
            served.append(champion)
        entry = {
            "champion": champion.number if champion is not None else None,
            "versions": [each.to_record() for each in served],
        }
        try:
            service_record.write(self.root, dataset, experiment, entry)
        except CommandError as error:
            _log.warning("git does not record what is in service: %s", error.lines[-1] if error.lines else error)

    def record_missing(self, dataset: str) -> None:
        """Record in git what is in service of experiments of which git has no record, as of earlier releases."""
        for experiment in set(self.experiments(dataset)).difference(service_record.read(self.root, dataset)):
            if self.champion(dataset, experiment) is not None:
                self.record(dataset, experiment)

    def check_recorded(self, dataset: str, experiment: str) -> None:
        """Raise an :class:`AuscultError` if git records a model in service and the registry has none.

        The registry was lost then, and a challenger must not pass for the first model.
        """
        recorded = service_record.champion(self.root, dataset, experiment)
        if recorded is not None and self.champion(dataset, experiment) is None:
            raise AuscultError(
                f"nothing is in service for {experiment} of {dataset}, but git records that version"
                f" {recorded['number']} is",
                where="mlflow.db",
                next_step=f"auscult models restore; or, if nothing is to serve: auscult models retire {experiment}"
                " --because …",
            )

    def last_decision(self, version: Version) -> dict[str, Any]:
        """Return the newest record of the gate's decision on a version; empty if there is none."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException, OSError):  # the run was deleted, or its artifacts are gone
            kept = sorted(each.path for each in self.client.list_artifacts(version.run_id, "decision"))
            if kept:
                folder = Path(self.client.download_artifacts(version.run_id, kept[-1]))
                return dict(read_json(folder / "decision.json"))
        return {}

    def _served(self, dataset: str, experiment: str) -> Version:
        """Return the version in service; raise an :class:`AuscultError` if there is none."""
        if (current := self.champion(dataset, experiment)) is not None:
            return current
        raise AuscultError(
            f"nothing is in service for {experiment} of {dataset}",
            where="mlflow.db",
            next_step=f"auscult models promote {experiment} --because …",
        )

    def _tag(self, name: str, version: Version, key: str, value: str) -> None:
        self.client.set_model_version_tag(name, version.number, key, value[:_LONGEST_TAG])

    def _before(self, dataset: str, experiment: str, current: Version) -> Version | None:
        """Return the latest earlier champion that was not rolled back."""
        known = {version.number: version for version in self.versions(dataset, experiment)}
        seen, before = {current.number}, current.tags.get(BEFORE, _NONE)
        # A version promoted twice makes a cycle; one that learned from a withdrawn patient may have been deleted.
        while before in known and before not in seen:
            found = known[before]
            if ROLLED_BACK not in found.tags:
                return found
            seen.add(before)
            before = found.tags.get(BEFORE, _NONE)
        return None

    def keep_record(self, version: Version, folder: Path) -> None:
        """Store the files of a decision as artifacts of the version's run, under ``decision/<name of the folder>``."""
        with copying_content_only():
            self.client.log_artifacts(version.run_id, str(folder), f"decision/{folder.name}")

    def by_digest(self, dataset: str, experiment: str, digest: str) -> Version:
        """Return the version registered for a model's files.

        Raises
        ------
        AuscultError
            There is none.
        """
        for version in self.versions(dataset, experiment):
            if version.digest == digest:
                return version
        raise AuscultError(
            f"the model of {experiment} is not in the registry",
            where="mlflow.db",
            next_step="auscult models track",
        )

    def _aliased(self, dataset: str, experiment: str, alias: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_model_version_by_alias(registered_name(dataset, experiment), alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return self._version(found)

    def _version(self, found: ModelVersion) -> Version:
        uri = str(self.client.get_model_version_download_uri(found.name, found.version))
        return Version(
            number=str(found.version),
            run_id=str(found.run_id),
            digest=str(found.tags.get(MODEL_TAG, "")),
            tags=dict(found.tags),
            package=Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).strftime(_TIME),
        )


def champion_folder(dataset: str, experiment: str, root: Path = Path()) -> Path | None:
    """Return the folder of the trained model in service; ``None`` if there is none."""
    if not (root / DATABASE).exists():
        return None
    champion = Registry(root).champion(dataset, experiment)
    return champion.folder if champion is not None else None


def _now() -> str:
    return datetime.now(UTC).strftime(_TIME)
