"""``auscult data lineage``: find which data made which model, in MLflow and in DVC, and where the two disagree.

MLflow's runs hold a digest of the data (``data_hash``), its registry the models. Git's history of ``dvc.lock`` holds
the checksums of both, commit by commit. The two are written at different times, manually or by a retraining, in
different clones, so that they can disagree.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.curation.lineage.registered import Registered, registered
from auscult.registry.outputs import data_hash, registered_name
from auscult.registry.versions import CHALLENGER, CHAMPION
from auscult.training.trained_model import DESCRIPTION
from auscult.versioning import history, worktree
from auscult.versioning.commands import git
from auscult.versioning.history import Commit

#: Number of digits of a digest in messages, and at least in the name of a version.
_SHOWN = 12
_LEAST_HASH = 8


@dataclass(frozen=True)
class ModelLineage:
    """The origin of a registered model.

    Attributes
    ----------
    commits
        Commits whose ``dvc.lock`` has this model and data that MLflow names for it, the newest first.
    here
        What the workspace's ``dvc.lock`` has: ``this model``, ``another model`` or ``no such model``.
    disagreements
        What MLflow and DVC disagree on, as text.
    """

    model: Registered
    commits: tuple[Commit, ...]
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
    """The models trained on a version of the data; *disagreements* as in :class:`ModelLineage`."""

    commit: Commit
    dataset: str
    trained: tuple[Trained, ...]
    disagreements: tuple[str, ...]


def stage_of(experiment: str) -> str:
    """Return the stage of ``dvc.lock`` that makes an experiment's model."""
    return f"train@{experiment}"


def model_md5(stages: Mapping[str, Any], dataset: str, experiment: str) -> str:
    """Return the MD5 of a model's ``model.json`` in the stages of a lock; empty if it has none of this data set."""
    path = (Paths(dataset).model(experiment) / DESCRIPTION).as_posix()
    outs = stages.get(stage_of(experiment), {}).get("outs", [])
    return next((str(out.get("md5", "")) for out in outs if out["path"] == path), "")


def of_model(root: Path, model: Registered, past: Sequence[Commit]) -> ModelLineage:
    """Compare a registered model with git's history of ``dvc.lock``."""
    named = {run.data_hash for run in model.runs} - {""}
    with_model = [c for c in past if model.md5 and model_md5(c.stages, *_key(model)) == model.md5]
    with_both = [c for c in with_model if c.sha and data_hash(*_key(model), c.stages) in named]
    here = next((model_md5(commit.stages, *_key(model)) for commit in past if not commit.sha), "")
    return ModelLineage(
        model,
        tuple(with_both),
        "no such model" if not here else "this model" if here == model.md5 else "another model",
        tuple(_mlflow_disagreements(model) + _git_disagreements(root, model, with_model, past)),
    )


def _key(model: Registered) -> tuple[str, str]:
    return model.dataset, model.experiment


def _mlflow_disagreements(model: Registered) -> list[str]:
    """Return what is missing or altered in MLflow."""
    found = []
    if not model.runs:
        found.append(f"the run that made {model} is not in MLflow any more")
    elif not any(run.data_hash for run in model.runs):
        found.append(f"the run of {model} does not say on which data it was trained")
    if model.altered:
        found.append(f"the files of {model} are not those that were registered")
    return found


def _git_disagreements(
    root: Path, model: Registered, with_model: Sequence[Commit], past: Sequence[Commit]
) -> list[str]:
    """Return where git's history of ``dvc.lock`` differs from MLflow."""
    named = sorted({run.data_hash for run in model.runs} - {""})
    committed = [commit for commit in with_model if commit.sha]
    found = []
    if not model.md5:
        found.append(f"{model} cannot be found in dvc.lock: its files are gone, and no tag has their checksum")
    elif not committed:
        found.append(_not_committed(root, model, in_workspace=bool(with_model)))
    for commit in committed if named else []:
        recorded = data_hash(*_key(model), commit.stages)
        if recorded not in named:
            digests = " and ".join(short(digest) for digest in named)
            found.append(
                f"MLflow says that {model} was trained on data {digests};"
                f" dvc.lock at {commit}, which has this model, says {short(recorded or 'none')}"
            )
    found += _other_names(model, committed)
    in_git = {data_hash(*_key(model), commit.stages) for commit in past if commit.sha}
    for digest in named:
        if digest not in in_git:
            found.append(f"no commit's dvc.lock has the data {short(digest)} that MLflow names for {model}")
    return found


def _other_names(model: Registered, commits: Sequence[Commit]) -> list[str]:
    """Return where MLflow and ``version.json`` have different names for the same data."""
    found = []
    names = {run.data_hash: run.data_version for run in model.runs if run.data_version}
    for commit in commits:
        named = names.get(data_hash(*_key(model), commit.stages) or "")
        if named and commit.version and commit.version.get("name") != named:
            other = commit.version.get("name")
            found.append(f"MLflow names {named} as the data of {model}; version.json at {commit} says {other}")
    return found


def _not_committed(root: Path, model: Registered, *, in_workspace: bool) -> str:
    if in_workspace:
        return f"no commit has {model}, only the workspace's dvc.lock: git commit dvc.lock"
    text = f"no commit's dvc.lock has {model} (it was refused, or never committed)"
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        text += "; this clone is shallow: git fetch --unshallow, then the same command again"
    return text


def of_data(commit: Commit, dataset: str, models: Sequence[Registered]) -> DataLineage:
    """Return the registered models that were trained on the data of a commit's ``dvc.lock``."""
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
                digests = " and ".join(short(run.data_hash) for run in model.runs if run.data_hash) or "nothing"
                disagreements.append(
                    f"dvc.lock at {commit} says that {model} was trained on data {short(recorded)};"
                    f" MLflow says {digests}"
                )
    return DataLineage(commit, dataset, tuple(trained), tuple(disagreements))


def short(digest: str) -> str:
    """Return the first digits of a digest, for messages."""
    return digest[:_SHOWN]


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
        *asked* is neither, nor a revision, or there is no registry.
    """
    params = parameters.load(root / parameters.FILE)
    models = registered(root)
    if chosen := named(models, asked, params.dataset):
        return Traced(asked, models=_trace_models(root, chosen))
    if asked in (CHAMPION, CHALLENGER):
        raise AuscultError(
            f"no model has the alias {asked}",
            where="mlflow.db",
            next_step="auscult models retrain, or: auscult models promote EXPERIMENT --because …",
        )
    stages = ["validate", *(stage_of(name) for name in params.experiments)]
    past = history.commits(root, params.dataset, stages)
    commits = _of_version(past, asked, params.dataset) or _of_revision(root, asked, models)
    data = [of_data(one, history.dataset_of(one.stages) or params.dataset, models) for one in commits]
    return Traced(asked, data=tuple(data))


def named(models: Sequence[Registered], asked: str, dataset: str) -> list[Registered]:
    """Return the registered models that *asked* names; none if it names something else.

    An alias alone names every model that has it; an experiment without a version names all versions.
    """
    experiment, _, which = asked.partition(":")
    of_name = [m for m in models if m.name in (experiment, registered_name(dataset, experiment))]
    if not of_name and not which:
        return [model for model in models if asked in model.aliases]
    return [model for model in of_name if not which or which == model.number or which in model.aliases]


def _trace_models(root: Path, models: Sequence[Registered]) -> tuple[ModelLineage, ...]:
    found = []
    for dataset in dict.fromkeys(model.dataset for model in models):
        mine = [model for model in models if model.dataset == dataset]
        stages = dict.fromkeys(stage_of(model.experiment) for model in mine)
        past = history.commits(root, dataset, ["validate", *stages])
        found += [of_model(root, model, past) for model in mine]
    return tuple(found)


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


def _of_revision(root: Path, asked: str, models: Sequence[Registered]) -> list[Commit]:
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
    return [commit]
