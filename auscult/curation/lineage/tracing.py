"""``python -m auscult.cli data lineage WHAT``: find what is meant, and trace it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.curation.lineage import history, lineage
from auscult.curation.lineage.history import Commit
from auscult.curation.lineage.lineage import DataLineage, ModelLineage
from auscult.curation.lineage.registered import Registered, registered
from auscult.registry.outputs import registered_name
from auscult.registry.versions import CHALLENGER, CHAMPION
from auscult.versioning import worktree

_LEAST_HASH = 8  # digits that name a version of the data


@dataclass(frozen=True)
class Traced:
    """The answer: what was asked for is either models or data."""

    asked: str
    models: tuple[ModelLineage, ...] = ()
    data: tuple[DataLineage, ...] = ()

    @property
    def disagreements(self) -> list[str]:
        """All of them, each once."""
        said = [words for model in self.models for words in model.disagreements]
        said += [words for data in self.data for words in data.disagreements]
        return list(dict.fromkeys(said))


def trace(root: Path, asked: str) -> Traced:
    """Trace a registered model (``EXPERIMENT``, ``EXPERIMENT:VERSION``, an alias) or a version of the data.

    Raises
    ------
    AuscultError
        It is neither, or there is no registry.
    """
    params = parameters.load(root / parameters.FILE)
    models = registered(root)
    if chosen := named(models, asked, params.dataset):
        return Traced(asked, models=_trace_models(root, chosen))
    if asked in (CHAMPION, CHALLENGER):
        raise AuscultError(
            f"no model is {asked}",
            where="mlflow.db",
            next_step="python -m auscult.cli retrain, or: python -m auscult.cli promote EXPERIMENT --because …",
        )
    stages = ["validate", *(lineage.stage_of(name) for name in params.experiments)]
    past = history.commits(root, params.dataset, stages)
    commits = _of_version(past, asked, params.dataset) or _of_revision(root, asked, models)
    data = [lineage.of_data(one, history.dataset_of(one.stages) or params.dataset, models) for one in commits]
    return Traced(asked, data=tuple(data))


def named(models: Sequence[Registered], asked: str, dataset: str) -> list[Registered]:
    """The registered models that *asked* means; none where it means something else.

    A bare alias means every model that has it; without a version all versions are meant.
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
        stages = dict.fromkeys(lineage.stage_of(model.experiment) for model in mine)
        past = history.commits(root, dataset, ["validate", *stages])
        found += [lineage.of_model(root, model, past) for model in mine]
    return tuple(found)


def _of_version(past: Sequence[Commit], asked: str, dataset: str) -> list[Commit]:
    """The newest commit of each state of the data that has the version; its name or the begin of its hash."""
    found: dict[str, Commit] = {}
    for commit in past:
        about = commit.version
        by_hash = len(asked) >= _LEAST_HASH and str(about.get("content_sha256", "")).startswith(asked)
        if about and (about.get("name") == asked or by_hash) and commit.stages:
            hashes = [lineage.data_hash(dataset, stage.partition("@")[2], commit.stages) for stage in commit.stages]
            found.setdefault(repr(hashes), commit)
    return list(found.values())


def _of_revision(root: Path, asked: str, models: Sequence[Registered]) -> list[Commit]:
    try:
        sha = worktree.resolve(root, asked)
    except AuscultError:
        known = sorted({name for model in models for name in (model.name, model.experiment, *model.aliases)})
        close = difflib.get_close_matches(asked.partition(":")[0], known, n=1, cutoff=0.5)
        there = [model.number for model in models if asked.partition(":")[0] in (model.name, model.experiment)]
        hint = f" (versions: {', '.join(there)})" if there else f" (did you mean {close[0]!r}?)" if close else ""
        raise AuscultError(
            f"{asked!r} is no registered model, no version of the data and no revision{hint}",
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
