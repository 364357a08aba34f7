"""Which models have learned from patients: by the keys that ``model.json`` keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from auscult.core.errors import DataError
from auscult.core.paths import ARTIFACTS, DATABASE
from auscult.core.storage import read_json
from auscult.registry.versions import Registry, Version
from auscult.training.trained_model import DESCRIPTION


@dataclass(frozen=True)
class Registered:
    """A registered version that has learned from somebody.

    Attributes
    ----------
    champion
        Whether it is in service.
    """

    experiment: str
    version: Version
    champion: bool

    def __str__(self) -> str:
        return f"{self.experiment} version {self.version.number}{', in service' if self.champion else ''}"


def in_workspace(dataset: str, keys: Collection[str], root: Path = Path()) -> list[str]:
    """Experiments whose model below ``models/`` has learned from one of these patients."""
    folders = (path.parent for path in sorted((root / "models" / dataset).glob(f"*/{DESCRIPTION}")))
    return [folder.name for folder in folders if has_learned(folder, keys)]


def registered(dataset: str, keys: Collection[str], root: Path = Path()) -> list[Registered]:
    """Registered versions that have learned from one of these patients, by experiment, the newest first."""
    return list(_registered(dataset, keys, root)) if (root / DATABASE).exists() else []


def has_learned(folder: Path, keys: Collection[str]) -> bool:
    """Whether a trained folder's model has; one that does not say is taken to have learned from everybody."""
    try:
        met = read_json(folder / DESCRIPTION).get("learned_from")
    except (DataError, AttributeError):
        return True
    return not isinstance(met, list) or not set(keys).isdisjoint(met)


def here(path: Path, root: Path) -> Path:
    """Where an artifact lies in this repository; where it has none of it, the path as it is.

    MLflow notes absolute paths. Of a repository that was moved or copied they lead elsewhere: into nothing, or into
    another copy, whose artifacts are not ours to remove.
    """
    parts = path.parts
    if ARTIFACTS.name not in parts:
        return path
    own = root.resolve().joinpath(*parts[len(parts) - parts[::-1].index(ARTIFACTS.name) - 1 :])
    return own if own.exists() else path


def _registered(dataset: str, keys: Collection[str], root: Path) -> Iterator[Registered]:
    registry = Registry(root)
    for experiment in registry.experiments(dataset):
        champion = registry.champion(dataset, experiment)
        for version in registry.versions(dataset, experiment):
            package = here(version.package, root)
            if has_learned(replace(version, package=package).folder, keys):
                serves = champion is not None and champion.number == version.number
                yield Registered(experiment, version, serves)
