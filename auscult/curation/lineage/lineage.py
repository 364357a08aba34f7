"""Which data made which model, asked of MLflow and of DVC: both must say the same.

MLflow's runs hold a digest of the data (``data_hash``), its registry the models. Git's history of ``dvc.lock`` holds,
commit by commit, the checksums of both. The two are written at different moments, by hand, by a retraining, in other
clones: what one says and the other does not is said here in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.paths import Paths
from auscult.curation.lineage.history import Commit
from auscult.curation.lineage.registered import Registered
from auscult.registry.outputs import data_hash
from auscult.training.trained_model import DESCRIPTION
from auscult.versioning.commands import git

_SHOWN = 12  # digits of a digest


@dataclass(frozen=True)
class ModelLineage:
    """Where a registered model comes from.

    Attributes
    ----------
    commits
        Whose ``dvc.lock`` has exactly this model and a data set that MLflow names for it, the newest first.
    here
        What the workspace's ``dvc.lock`` has in its place: ``this model``, ``another model`` or ``no such model``.
    disagreements
        What MLflow and DVC do not agree on, in words; empty where they do.
    """

    model: Registered
    commits: tuple[Commit, ...]
    here: str
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """A model of a data version.

    Attributes
    ----------
    data_hash
        Of the data that it is trained on, as ``dvc.lock`` names them.
    versions
        Registered versions whose runs name that data.
    """

    experiment: str
    data_hash: str
    versions: tuple[Registered, ...]


@dataclass(frozen=True)
class DataLineage:
    """What was trained on a version of the data; *disagreements* as in :class:`ModelLineage`."""

    commit: Commit
    dataset: str
    trained: tuple[Trained, ...]
    disagreements: tuple[str, ...]


def stage_of(experiment: str) -> str:
    """The stage of ``dvc.lock`` that makes an experiment's model."""
    return f"train@{experiment}"


def model_md5(stages: Mapping[str, Any], dataset: str, experiment: str) -> str:
    """MD5 of a model's ``model.json`` in the stages of a lock; empty where there is none of this data set."""
    path = (Paths(dataset).model(experiment) / DESCRIPTION).as_posix()
    outs = stages.get(stage_of(experiment), {}).get("outs", [])
    return next((str(out.get("md5", "")) for out in outs if out["path"] == path), "")


def of_model(root: Path, model: Registered, history: Sequence[Commit]) -> ModelLineage:
    """Hold a registered model against git's history of ``dvc.lock``."""
    named = {run.data_hash for run in model.runs} - {""}
    with_model = [c for c in history if model.md5 and model_md5(c.stages, *_key(model)) == model.md5]
    with_both = [c for c in with_model if c.sha and data_hash(*_key(model), c.stages) in named]
    here = next((model_md5(commit.stages, *_key(model)) for commit in history if not commit.sha), "")
    return ModelLineage(
        model,
        tuple(with_both),
        "no such model" if not here else "this model" if here == model.md5 else "another model",
        tuple(_in_mlflow(model) + _in_git(root, model, with_model, history)),
    )


def _key(model: Registered) -> tuple[str, str]:
    return model.dataset, model.experiment


def _in_mlflow(model: Registered) -> list[str]:
    """What MLflow alone should say and does not."""
    found = []
    if not model.runs:
        found.append(f"the run that made {model} is not in MLflow any more")
    elif not any(run.data_hash for run in model.runs):
        found.append(f"the run of {model} does not say on which data it was trained")
    if model.altered:
        found.append(f"the files of {model} are not those that were registered")
    return found


def _in_git(root: Path, model: Registered, with_model: Sequence[Commit], history: Sequence[Commit]) -> list[str]:
    named = sorted({run.data_hash for run in model.runs} - {""})
    committed = [commit for commit in with_model if commit.sha]
    found = []
    if not model.md5:
        found.append(f"{model} cannot be looked up in dvc.lock: its files are gone, and no tag has their checksum")
    elif not committed:
        found.append(_unknown(root, model, uncommitted=bool(with_model)))
    for commit in committed if named else []:
        recorded = data_hash(*_key(model), commit.stages)
        if recorded not in named:
            said = " and ".join(short(digest) for digest in named)
            found.append(
                f"MLflow says that {model} was trained on data {said};"
                f" dvc.lock at {commit}, which has this model, says {short(recorded or 'none')}"
            )
    found += _other_names(model, committed)
    there = {data_hash(*_key(model), commit.stages) for commit in history if commit.sha}
    for digest in named:
        if digest not in there:
            found.append(f"no commit's dvc.lock has the data {short(digest)} that MLflow names for {model}")
    return found


def _other_names(model: Registered, commits: Sequence[Commit]) -> list[str]:
    """Where both name a version of the data set, for the same data, but not the same one."""
    found = []
    names = {run.data_hash: run.data_version for run in model.runs if run.data_version}
    for commit in commits:
        said = names.get(data_hash(*_key(model), commit.stages) or "")
        if said and commit.version and commit.version.get("name") != said:
            other = commit.version.get("name")
            found.append(f"MLflow names {said} as the data of {model}; version.json at {commit} says {other}")
    return found


def _unknown(root: Path, model: Registered, *, uncommitted: bool) -> str:
    if uncommitted:
        return f"no commit has {model}, only the workspace's dvc.lock: git commit dvc.lock"
    words = f"no commit's dvc.lock has {model} (one that was refused, or never committed)"
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        words += "; this clone is shallow: git fetch --unshallow, then ask again"
    return words


def of_data(commit: Commit, dataset: str, models: Sequence[Registered]) -> DataLineage:
    """The registered models that were trained on the data of a commit's ``dvc.lock``."""
    trained, disagreements = [], []
    for stage in commit.stages:
        experiment = stage.partition("@")[2]
        if not stage.startswith("train@") or (recorded := data_hash(dataset, experiment, commit.stages)) is None:
            continue
        mine = [model for model in models if (model.dataset, model.experiment) == (dataset, experiment)]
        made = tuple(model for model in mine if any(run.data_hash == recorded for run in model.runs))
        trained.append(Trained(experiment, recorded, made))
        md5 = model_md5(commit.stages, dataset, experiment)
        for model in mine:
            if model.md5 == md5 and model not in made:
                said = " and ".join(short(run.data_hash) for run in model.runs if run.data_hash) or "nothing"
                disagreements.append(
                    f"dvc.lock at {commit} says that {model} was trained on data {short(recorded)}; MLflow says {said}"
                )
    return DataLineage(commit, dataset, tuple(trained), tuple(disagreements))


def short(digest: str) -> str:
    """The first digits of a digest, for people."""
    return digest[:_SHOWN]
