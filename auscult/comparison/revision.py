"""One side read: its parameters, its lock, its models' answers; each problem in words, none raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from auscult.core.errors import AuscultError
from auscult.core.paths import CODE, Paths
from auscult.versioning import lockfile
from auscult.versioning.commands import git_bytes
from auscult.versioning.graph import Run, below
from auscult.versioning.lockfile import DamagedError

if TYPE_CHECKING:
    import pandas as pd

    from auscult.core.tasks import Task

_COLUMNS = ("unit_id", "recording_id", "patient_id", "part", "start_s", "end_s", "class_index", "predicted")


@dataclass(frozen=True)
class Answered:
    """One experiment's model and answers.

    Attributes
    ----------
    task
        What is predicted.
    table
        ``predictions.parquet``: the columns of :func:`auscult.evaluation.assessment.prediction_columns`.
    model
        Digest of ``model.json``, which holds the checksums of the weights: equal for the same model, also where it was
        found on another way. Empty where there is none.
    in_git
        Part → figure → value of the metrics file that git keeps; empty where it could not be read, or where it is of
        another machine and in order.
    """

    task: Task
    table: pd.DataFrame
    model: str
    in_git: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Committed:
    """What git holds of a side.

    Attributes
    ----------
    metrics
        Path → content of every metrics file below ``reports/``.
    lock
        The stages of ``dvc.lock``.
    """

    metrics: Mapping[str, bytes]
    lock: Mapping[str, Any]

    def in_order(self, path: str, after: Mapping[str, Any]) -> bool:
        """Whether a metrics file is that of the lock, and the lock that of the code and parameters in *after*.

        On another kind of processor a retraining then has other figures, and nobody has forgotten anything.
        """
        import hashlib

        md5 = hashlib.md5(self.metrics[path], usedforsecurity=False).hexdigest()
        outs = (out for stage in self.lock.values() for out in stage.get("outs", []))
        recorded = any(out["path"] == path and out.get("md5") == md5 for out in outs)
        return recorded and all(_recipe(self.lock.get(name)) == _recipe(stage) for name, stage in after.items())


def _recipe(stage: Any) -> tuple[Any, ...]:
    """The code and the parameters that an entry of a lock names."""
    deps = {dep["path"]: dep.get("md5") for dep in (stage or {}).get("deps", [])}
    return {path: md5 for path, md5 in deps.items() if path.startswith(CODE)}, (stage or {}).get("params")


@dataclass
class SideRead:
    """All that is compared of one side.

    Attributes
    ----------
    experiments
        Name → its answers, or why there are none.
    faults
        (where, why) of each file that could not be read.
    """

    dataset: str
    params: dict[str, Any] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)
    experiments: dict[str, Answered | str] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


def committed(place: Path) -> Committed:
    """The metrics files and the lock of a checkout's commit, whatever the pipeline has made of them since."""
    listed = git_bytes(place, "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", "reports").decode(errors="replace")
    names = [name for name in listed.split("\0") if PurePosixPath(name).match("reports/*/metrics/*.json")]
    lock = _stages(lambda: lockfile.at_commit(place))
    return Committed({name: git_bytes(place, "show", f"HEAD:{name}") for name in names}, lock)


def at_hand(place: Path) -> Committed:
    """The same of a checkout with changes that are not committed: what would be, if it were now."""
    found = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.glob("reports/*/metrics/*.json")}
    return Committed(found, _lock(place))


def read(place: Path, run: Run, before: Committed) -> SideRead:
    """Read one side after its pipeline has run.

    Parameters
    ----------
    before
        What :func:`committed` found.

    Raises
    ------
    AuscultError
        The parameters cannot be read: nothing is known of this side.
    """
    from auscult.core import params as parameters

    params = parameters.load(place / parameters.FILE)
    side = SideRead(params.dataset, params=_plain_params(place), lock=_lock(place))
    for name in params.experiments:
        path = Paths(params.dataset).metrics(name).as_posix()
        in_git, why = _figures(before.metrics.get(path))
        if in_git and before.in_order(path, side.lock):
            in_git = {}
        if why:
            side.faults.append((path, why))
        if why := run.why_missing(f"evaluate@{name}") or run.why_missing(f"train@{name}"):
            side.experiments[name] = why
            side.faults.append((f"experiment {name}", why))
            continue
        try:
            side.experiments[name] = _answered(place, params.dataset, name, in_git)
        except (AuscultError, OSError, ValueError, KeyError, TypeError) as error:
            why = error.what if isinstance(error, AuscultError) else f"{type(error).__name__}: {error}"
            why = side.experiments[name] = below(place, why)
            side.faults.append((Paths(params.dataset).evaluation(name).as_posix(), why))
    return side


def _plain_params(place: Path) -> dict[str, Any]:
    import yaml

    from auscult.core import params as parameters

    data: dict[str, Any] = yaml.safe_load((place / parameters.FILE).read_text(encoding="utf-8"))
    return data


def _lock(place: Path) -> dict[str, Any]:
    return _stages(lambda: lockfile.in_workspace(place))


def _stages(read: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Return the stages of a lock; none if there is no lock or a damaged one."""
    try:
        return read() or {}
    except DamagedError:
        return {}


def _figures(content: bytes | None) -> tuple[dict[str, dict[str, float]], str]:
    """The figures of a metrics file, and why they could not be read."""
    import json
    import math

    if content is None:
        return {}, "there is no such file in git: its figures cannot be checked"
    try:
        data = json.loads(content)
        figures = {part: {name: float(value) for name, value in data[part].items()} for part in ("validation", "test")}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return {}, f"it is no metrics file: {type(error).__name__}: {error}"[:300]
    if not all(math.isfinite(value) for part in figures.values() for value in part.values()):
        return {}, "it is no metrics file: it holds what is no number"
    return figures, ""


def _answered(place: Path, dataset: str, name: str, in_git: Mapping[str, Mapping[str, float]]) -> Answered:
    from auscult.core.digests import file_sha256
    from auscult.core.storage import read_json, read_table
    from auscult.core.tasks import Task
    from auscult.evaluation.metrics import slug

    paths = Paths(dataset)
    folder = place / paths.evaluation(name)
    task = Task.from_json(read_json(folder / "evaluation.json")["task"])
    table = read_table(folder / "predictions.parquet")
    needed = [*_COLUMNS, *(f"p_{slug(c)}" for c in task.classes)]
    if missing := [column for column in needed if column not in table.columns]:
        raise ValueError(f"predictions.parquet lacks the column {missing[0]}")
    if table.duplicated(["part", "unit_id"]).any():
        raise ValueError("predictions.parquet names a unit twice")
    if table[["start_s", "end_s"]].isna().any(axis=None):
        raise ValueError("predictions.parquet has a unit without times")
    for column in ("class_index", "predicted"):
        if not table[column].between(0, len(task.classes) - 1).all():
            raise ValueError(f"predictions.parquet has a class in {column} that the task does not have")
    given = table[[f"p_{slug(c)}" for c in task.classes]]
    if not given.ge(0.0).all(axis=None) or not given.sum(axis=1).sub(1.0).abs().lt(1e-3).all():
        raise ValueError("predictions.parquet has probabilities that are none: negative, missing, or not one together")
    model = place / paths.model(name) / "model.json"
    return Answered(task, table, file_sha256(model) if model.exists() else "", in_git)
