"""``auscult models restore``: register the models that git records as in service again, with files that DVC has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.paths import DATABASE, Paths
from auscult.registry import service_record
from auscult.registry.versions import BEFORE, Registry, Version
from auscult.training.trained_model import DESCRIPTION
from auscult.versioning import history, lockfile, worktree
from auscult.versioning.commands import follow, succeeds


def restore(tell: Callable[[str], None], root: Path = Path()) -> None:
    """Bring the registry to what git records of the data set of ``params.yaml``; a champion that it has stays.

    Versions that served or were rolled back are registered again where a commit's ``dvc.lock`` has the model; they get
    new numbers and their old tags.

    Parameters
    ----------
    tell
        Receives a line per experiment.

    Raises
    ------
    AuscultError
        Git has no record, or a model in service is in no commit, or DVC does not have its files.
    """
    dataset = parameters.load(root / parameters.FILE).dataset
    record = service_record.read(root, dataset)
    if not record:
        raise AuscultError(
            f"git has no record of models in service for {dataset}",
            where=str(root.resolve()),
            next_step="git fetch REMOTE 'refs/auscult/*:refs/auscult/*' from a clone that has it; or look for what a"
            " retraining promoted, git log --all --grep '^retrain:', and: auscult models promote EXPERIMENT"
            " --version N --because …",
        )
    lost = [name for name, entry in record.items() if not _restore(root, dataset, name, entry, tell)]
    if lost:
        raise AuscultError(
            f"the model in service could not be registered again: {', '.join(lost)}",
            where="git's history of dvc.lock, and DVC's cache and remotes",
            next_step="fetch the branch or the remote that has it (git fetch, dvc pull), then the same command again;"
            " or put another version into service: auscult models promote EXPERIMENT --version N --because …",
        )


def _restore(root: Path, dataset: str, experiment: str, entry: Mapping[str, Any], tell: Callable[[str], None]) -> bool:
    """Restore the versions of an experiment; return whether what was in service is in service, if anything was."""
    found: dict[str, Version] = {}  # by the number that the record has
    for recorded in sorted(entry["versions"], key=lambda each: int(each["number"])):
        version = _registered(root, dataset, experiment, recorded["digest"])
        if version is None and _track(root, dataset, experiment, recorded["md5"], tell):
            version = _registered(root, dataset, experiment, recorded["digest"])
        if version is not None:
            found[recorded["number"]] = version
        else:
            tell(f"{experiment}: version {recorded['number']}, model.json {recorded['md5'][:12]}, is not to be found")
    if not found:
        return entry["champion"] is None
    tags = {
        found[recorded["number"]].number: recorded["tags"] | _before(recorded["tags"], found)
        for recorded in entry["versions"]
        if recorded["number"] in found
    }
    champion = found.get(entry["champion"] or "")
    registry = Registry(root)
    if registry.champion(dataset, experiment) is None:
        registry.restore(dataset, experiment, tags, champion.number if champion is not None else "")
    serving = registry.champion(dataset, experiment)
    if serving is not None:
        registry.record(dataset, experiment)
        tell(f"{experiment}: version {serving.number} is in service")
    return serving is not None or entry["champion"] is None


def _before(tags: Mapping[str, str], found: Mapping[str, Version]) -> dict[str, str]:
    """Return the tag that names the previous champion, with its new number."""
    return {BEFORE: found[tags[BEFORE]].number} if tags.get(BEFORE) in found else {}


def _registered(root: Path, dataset: str, experiment: str, digest: str) -> Version | None:
    if not (root / DATABASE).exists():
        return None
    versions = Registry(root).versions(dataset, experiment)
    return next((version for version in versions if version.digest == digest), None)


def _track(root: Path, dataset: str, experiment: str, md5: str, tell: Callable[[str], None]) -> bool:
    """Register the model with this ``model.json`` from the newest commit that has it; return whether it could be."""
    stage, description = f"train@{experiment}", (Paths(dataset).model(experiment) / DESCRIPTION).as_posix()
    for commit in history.commits(root, dataset, [stage]):
        outs = commit.stages.get(stage, {}).get("outs", [])
        if commit.sha and any(out["path"] == description and out.get("md5") == md5 for out in outs):
            break
    else:
        return False
    place = worktree.create(root, f"restore-{commit.sha[:10]}", commit.sha)
    try:
        recorded = lockfile.at_commit(place) or {}
        wanted = [
            str(out["path"])
            for name in (stage, f"evaluate@{experiment}")
            for out in recorded.get(name, {}).get("outs", [])
            if not (place / out["path"]).exists()  # git has the metrics
        ]
        succeeds(place, "dvc", "checkout", "--quiet", "--allow-missing", *wanted)
        if not (place / description).exists():
            succeeds(place, "dvc", "pull", "--quiet", "--allow-missing", *wanted)
        if not (place / description).exists():  # purged, for instance
            return False
        # With this code, not with that of the commit, which may be of another layout.
        follow(place, [sys.executable, "-P", "-m", "auscult", "models", "track"], tell)
    finally:
        worktree.remove(root, place)
    return True
