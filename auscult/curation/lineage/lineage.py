"""``auscult data lineage``: find which data made which model, in MLflow and in DVC, and where the two disagree.

MLflow's runs hold a digest of the data (``data_hash``), its registry the models. Git's history of ``dvc.lock`` holds
the checksums of both, commit by commit. The two are written at different times, manually or by a retraining, in
different clones, so that they can disagree.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.curation.lineage.registered import Registered, registered
from auscult.registry.outputs import data_hash, is_of_described, registered_name
from auscult.registry.versions import CHALLENGER, CHAMPION
from auscult.training.trained_model import DESCRIPTION
from auscult.versioning import history, worktree
from auscult.versioning.dvc_objects import RevisionOutputs
from auscult.versioning.history import Commit

#: Number of digits of a digest in messages, and at least in the name of a version.
_SHOWN = 12
_LEAST_HASH = 8
_COUNTS = ("recordings", "patients", "segments", "hours")
_STAGE = "train@"
#: Stages that tell which version of the data a commit describes.
_OF_DATA = ("validate", "describe")


@dataclass(frozen=True)
class ModelLineage:
    """The origin of a registered model.

    Attributes
    ----------
    commits
        Commits whose ``dvc.lock`` has this model, data that MLflow names for it, and these data as the version that is
        described: not those of a partial run that left the training as it was. The newest first.
    counts
        Recordings, patients, segments and hours of the data; empty if unknown.
    here
        What the workspace's ``dvc.lock`` has: ``this model``, ``another model`` or ``no such model``.
    disagreements
        What MLflow and DVC disagree on, as text.
    """

    model: Registered
    commits: tuple[Commit, ...]
    counts: Mapping[str, float]
    here: str
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """An experiment that was trained on a version of the data.

    Attributes
    ----------
    data_hash
        Digest of the training data in ``dvc.lock``.
    versions
        Registered versions whose runs name these data.
    """

    experiment: str
    data_hash: str
    versions: tuple[Registered, ...]


@dataclass(frozen=True)
class DataLineage:
    """The models trained on a version of the data; *counts* and *disagreements* as in :class:`ModelLineage`.

    Attributes
    ----------
    not_trained
        Experiments whose training, as ``dvc.lock`` has it at this commit, read another version of the data.
    """

    commit: Commit
    dataset: str
    counts: Mapping[str, float]
    trained: tuple[Trained, ...]
    not_trained: tuple[str, ...]
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class Traced:
    """The lineage of what the user named: either models or data."""

    asked: str
    models: tuple[ModelLineage, ...] = ()
    data: tuple[DataLineage, ...] = ()

    @property
    def disagreements(self) -> list[str]:
        """All disagreements between MLflow and DVC, each once."""
        traced: list[ModelLineage | DataLineage] = [*self.models, *self.data]
        return list(dict.fromkeys(each for one in traced for each in one.disagreements))


def trace(root: Path, asked: str) -> Traced:
    """Trace a model (``EXPERIMENT``, ``EXPERIMENT:VERSION``, an alias), a version of the data, or a revision.

    Raises
    ------
    AuscultError
        *asked* is neither, nor a revision, there is no registry, or this clone lacks commits.
    """
    params = parameters.load(root / parameters.FILE)
    models = registered(root)
    if chosen := _named(models, asked, params.dataset):
        pasts = {
            dataset: history.commits(root, dataset, [*_OF_DATA, *(f"{_STAGE}{m.experiment}" for m in chosen)])
            for dataset in dict.fromkeys(model.dataset for model in chosen)
        }
        return Traced(asked, models=tuple(_of_model(root, model, pasts[model.dataset]) for model in chosen))
    if asked in (CHAMPION, CHALLENGER):
        raise AuscultError(
            f"no model has the alias {asked}",
            where="mlflow.db",
            next_step="auscult models retrain, or: auscult models promote EXPERIMENT --because …",
        )
    past = history.commits(root, params.dataset, [*_OF_DATA, *(f"{_STAGE}{name}" for name in params.experiments)])
    commits = _of_version(past, asked, params.dataset) or [_of_revision(root, asked, models)]
    return Traced(asked, data=tuple(_of_data(root, one, params.dataset, models) for one in commits))


def short(digest: str) -> str:
    """Return the first digits of a digest, for messages."""
    return digest[:_SHOWN]


def _named(models: Sequence[Registered], asked: str, dataset: str) -> list[Registered]:
    """Return the registered models that *asked* names; none if it names something else.

    An alias alone names every model that has it; an experiment without a version names all versions.
    """
    experiment, _, which = asked.partition(":")
    of_name = [m for m in models if m.name in (experiment, registered_name(dataset, experiment))]
    if not of_name and not which:
        return [model for model in models if asked in model.aliases]
    return [model for model in of_name if not which or which == model.number or which in model.aliases]


def _of_version(past: Sequence[Commit], asked: str, dataset: str) -> list[Commit]:
    """Return the newest commit of each state of the data with this version, by its name or the start of its digest."""
    found: dict[str, Commit] = {}
    for commit in past:
        about = commit.version
        by_hash = len(asked) >= _LEAST_HASH and str(about.get("content_sha256", "")).startswith(asked)
        if about and (about.get("name") == asked or by_hash) and commit.stages:
            hashes = [data_hash(dataset, stage.partition("@")[2], commit.stages) for stage in commit.stages]
            found.setdefault(repr(hashes), commit)
    return list(found.values())


def _of_revision(root: Path, asked: str, models: Sequence[Registered]) -> Commit:
    try:
        sha = worktree.resolve(root, asked)
    except AuscultError:
        known = sorted({name for model in models for name in (model.name, model.experiment, *model.aliases)})
        close = difflib.get_close_matches(asked.partition(":")[0], known, n=1, cutoff=0.5)
        numbers = [model.number for model in models if asked.partition(":")[0] in (model.name, model.experiment)]
        hint = f" (versions: {', '.join(numbers)})" if numbers else f" (did you mean {close[0]!r}?)" if close else ""
        raise AuscultError(
            f"{asked!r} is not a registered model, a version of the data or a revision{hint}",
            where="mlflow.db, and git's history",
            next_step="name a model (EXPERIMENT, EXPERIMENT:VERSION, champion), a version such as sample-1a2b3c4d,"
            " or a branch, tag or commit",
        ) from None
    commit = history.at_revision(root, sha)
    if commit is None:
        raise AuscultError(
            f"there is no dvc.lock at {asked}: no data is recorded there",
            where=sha,
            next_step="name a commit after the first dvc repro that was committed",
        )
    return commit


def _of_model(root: Path, model: Registered, past: Sequence[Commit]) -> ModelLineage:
    """Compare a registered model with git's history of ``dvc.lock``."""
    experiment = model.dataset, model.experiment
    recorded = [(commit, _md5(*experiment, commit), data_hash(*experiment, commit.stages)) for commit in past]
    with_model = [(commit, data) for commit, md5, data in recorded if model.md5 and md5 == model.md5]
    committed = [(commit, data) for commit, data in with_model if commit.sha]
    of_described = [(c, data) for c, data in committed if is_of_described(*experiment, c.stages)]
    commits = tuple(commit for commit, data in of_described if data in model.data)
    here = next((md5 for commit, md5, _ in recorded if not commit.sha), "")
    found = []
    if not model.runs:
        found.append(f"the run that made {model} is not in MLflow any more")
    elif not model.data:
        found.append(f"the run of {model} does not say on which data it was trained")
    if model.altered:
        found.append(f"the files of {model} are not those that were registered")
    if not model.md5:
        found.append(f"{model} cannot be found in dvc.lock: its files are gone, and no tag has their checksum")
    elif not committed:
        found.append(_not_committed(model, in_workspace=bool(with_model)))
    found += [_other_data(model, commit, data) for commit, data in committed if model.data and data not in model.data]
    names = {run.data_hash: run.data_version for run in model.runs if run.data_version}
    for commit, data in of_described:
        name, other = names.get(data or ""), commit.version.get("name")
        if name and commit.version and other != name:
            found.append(f"MLflow names {name} as the data of {model}; version.json at {commit} says {other}")
    for digest in model.data:
        if digest not in {data for commit, _, data in recorded if commit.sha}:
            found.append(f"no commit's dvc.lock has the data {short(digest)} that MLflow names for {model}")
    return ModelLineage(
        model,
        commits,
        _counts(root, commits[0], model.dataset) if commits else {},
        "no such model" if not here else "this model" if here == model.md5 else "another model",
        tuple(found),
    )


def _of_data(root: Path, commit: Commit, dataset: str, models: Sequence[Registered]) -> DataLineage:
    """Return the registered models that were trained on the data of a commit's ``dvc.lock``."""
    dataset = history.dataset_of(commit.stages) or dataset
    trained, not_trained, disagreements = [], [], []
    for stage in commit.stages:
        experiment = stage.partition("@")[2]
        if not stage.startswith(_STAGE) or (recorded := data_hash(dataset, experiment, commit.stages)) is None:
            continue
        if not is_of_described(dataset, experiment, commit.stages):
            not_trained.append(experiment)
            continue
        own = [model for model in models if (model.dataset, model.experiment) == (dataset, experiment)]
        trained.append(Trained(experiment, recorded, tuple(model for model in own if recorded in model.data)))
        md5 = _md5(dataset, experiment, commit)
        others = (model for model in own if model.md5 == md5 and recorded not in model.data)
        disagreements += [_other_data(model, commit, recorded) for model in others]
    return DataLineage(
        commit, dataset, _counts(root, commit, dataset), tuple(trained), tuple(not_trained), tuple(disagreements)
    )


def _md5(dataset: str, experiment: str, commit: Commit) -> str:
    """Return the MD5 of a model's ``model.json`` in a commit's ``dvc.lock``; empty if it has none of this data set."""
    path = (Paths(dataset).model(experiment) / DESCRIPTION).as_posix()
    outs: Sequence[Mapping[str, Any]] = commit.stages.get(f"{_STAGE}{experiment}", {}).get("outs", [])
    return next((str(out.get("md5", "")) for out in outs if out["path"] == path), "")


def _other_data(model: Registered, commit: Commit, recorded: str | None) -> str:
    named = " and ".join(map(short, model.data)) or "nothing"
    return (
        f"MLflow says that {model} was trained on data {named};"
        f" dvc.lock at {commit}, which has this model, says {short(recorded or 'none')}"
    )


def _not_committed(model: Registered, *, in_workspace: bool) -> str:
    if in_workspace:
        return f"no commit has {model}, only the workspace's dvc.lock: git commit dvc.lock"
    return f"no commit's dvc.lock has {model} (it was refused, or never committed)"


def _counts(root: Path, commit: Commit, dataset: str) -> dict[str, float]:
    """Return recordings, patients, segments and hours of a commit's data; empty if they are unknown."""
    about = commit.version if "recordings" in commit.version else _summary(root, commit.sha, dataset)
    return {name: about[name] for name in _COUNTS if name in about}


@cache
def _summary(root: Path, sha: str, dataset: str) -> Mapping[str, float]:
    """Return the counts in the manifest's summary; empty if neither the cache nor the remote has it."""
    path, found = Paths(dataset).manifest / "summary.json", dict[str, float]()
    with suppress(AuscultError):  # the lineage is useful without the counts
        if not sha:
            return dict(read_json(root / path)["counts"])
        with RevisionOutputs(root, sha, sha) as outputs:
            found = json.loads(outputs.read(path))["counts"]
    return found
