"""Base and head: which commits they are, their worktrees, their results, and what their locks and parameters record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import BaseModel, FiniteFloat, ValidationError

from auscult import settings
from auscult.comparison.differences import Evaluated
from auscult.comparison.document import Count, Parameter, Revision, Stage, shorten
from auscult.core import params as parameters
from auscult.core.digests import file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import CODE, Paths
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task
from auscult.evaluation.metrics import slug
from auscult.versioning import clone, lockfile, worktree
from auscult.versioning.commands import CommandError, git, git_bytes
from auscult.versioning.graph import Run, StageRun, without_root

#: Prefix of the names of temporary worktrees; the holder of the repository's lock may remove them.
PREFIX = "compare-"
#: Files in git that the pipeline writes: a change of them is not a change of the user's.
_OUTPUTS_IN_GIT = ("dvc.lock", "reports", "data/*/README.md", "data/*/version.json")
_COLUMNS = ("unit_id", "recording_id", "patient_id", "part", "start_s", "end_s", "class_index", "predicted")
_FIRST_COMMIT = "this is the first commit: there is nothing before it"


def head_of(root: Path, revision: str | None = None) -> Revision:
    """Return the revision to compare: the named one, else what is checked out.

    Raises
    ------
    AuscultError
        There is no such revision, or the folder is not a git repository with a commit.
    """
    if revision is not None:
        return Revision(revision[:120], worktree.resolve(root, revision), False, "")
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD")
    except CommandError as error:
        raise AuscultError(
            "there is no commit here to compare",
            where=str(root),
            next_step="run it in a clone of the repository, after a first git commit",
        ) from error
    branch = git(root, "rev-parse", "--abbrev-ref", "HEAD")
    changes = git(root, "status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in _OUTPUTS_IN_GIT))
    return Revision(branch[:120], commit, bool(changes), "")


def uncommitted_outputs(root: Path) -> list[str]:
    """Return the files that the pipeline writes and git keeps, and that differ from the last commit."""
    changed = git(root, "diff", "--name-only", "--relative", "HEAD", "--", *_OUTPUTS_IN_GIT)
    new = git(root, "ls-files", "--others", "--exclude-standard", "--", *_OUTPUTS_IN_GIT)
    return [*changed.splitlines(), *new.splitlines()]


def base_of(root: Path, revision: str, head: Revision) -> Revision:
    """Return the merge base of *revision* and head; its ``fault`` says why there is none.

    Raises
    ------
    AuscultError
        There is no such revision, although head has earlier commits.
    """
    first = not git(root, "rev-list", "--max-count=1", "--min-parents=1", head.commit, "--")
    lacking = clone.completion(root)
    try:
        asked = worktree.resolve(root, revision)
    except AuscultError:
        if not first or lacking:
            raise
        return Revision(revision[:120], "", False, _FIRST_COMMIT)
    try:
        commit = git(root, "merge-base", asked, head.commit)
    except CommandError:
        reason = f"{revision} and head have no commit in common"
        hint = f"; this clone has only a part of the history: {lacking}" if lacking else ""
        return Revision(revision[:120], "", False, reason + hint)
    if commit == head.commit and first and not clone.is_shallow(root) and not head.dirty:
        return Revision(revision[:120], "", False, _FIRST_COMMIT)
    return Revision(revision[:120], commit, False, "")


def remove_old_worktrees(root: Path) -> None:
    """Remove worktrees that a killed comparison left; the caller must hold the repository's lock."""
    for left in sorted((root / worktree.FOLDER).glob(f"{PREFIX}*")):
        worktree.remove(root, left)


@contextmanager
def checked_out(root: Path, role: str, commit: str) -> Iterator[Path]:
    """Make a temporary worktree of a commit, and remove it at the end; *role*, as base or head, is part of its name."""
    place = worktree.create(root, f"{PREFIX}{role}-{commit[:10]}", commit)
    try:
        yield place
    finally:
        worktree.remove(root, place)


@dataclass(frozen=True)
class Recorded:
    """Metrics files and lock as they were before the pipeline ran.

    Attributes
    ----------
    metrics
        Path → content of every metrics file below ``reports/``.
    lock
        The stages of ``dvc.lock``.
    """

    metrics: Mapping[str, bytes]
    lock: Mapping[str, Any]

    def why_outdated(self, path: str, lock: Mapping[str, Any]) -> str:
        """Return why a metrics file is not that of the code and parameters in *lock*; empty where it is.

        Its metrics may then still differ from a retraining on another kind of processor, and nothing is outdated.
        """
        md5 = hashlib.md5(self.metrics[path], usedforsecurity=False).hexdigest()
        if not (recorded := recorded_digest(self.lock, path)):
            return "dvc.lock in git does not record this file"
        if recorded != md5:
            return "it is not the file that dvc.lock in git records: edited, or committed without the other"
        for name, entry in lock.items():
            old, new = self.lock.get(name), entry
            if changed := [*_differing(_code(old), _code(new)), *_differing(_params(old), _params(new))]:
                return (
                    f"{shorten(', '.join(changed), 120)} of stage {name} changed after dvc.lock was written:"
                    " make repro did not run before the commit"
                )
        return ""


def _code(entry: Any) -> dict[str, str]:
    return {path: md5 for path, md5 in _deps(entry).items() if path.startswith(CODE)}


def committed(root: Path) -> Recorded:
    """Return what the checked-out commit holds, also where the pipeline has run since."""
    listed = git_bytes(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", "reports").decode(errors="replace")
    names = [name for name in listed.split("\0") if PurePosixPath(name).match("reports/*/metrics/*.json")]
    return Recorded({name: git_bytes(root, "show", f"HEAD:{name}") for name in names}, _lock(lockfile.at_commit, root))


def uncommitted(root: Path) -> Recorded:
    """Return what the folder holds, as if it were committed now."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.glob("reports/*/metrics/*.json")}
    return Recorded(found, _lock(lockfile.in_workspace, root))


@dataclass
class Results:
    """One revision after its pipeline has run. If its ``fault`` says why nothing was read, all but the run is empty.

    Attributes
    ----------
    params
        The content of ``params.yaml``, and as ``flows`` that of ``flows/settings.yaml``.
    lock
        The stages of ``dvc.lock``.
    experiments
        Name → its evaluated model, or why there is none.
    faults
        (where, reason) of each file that could not be read.
    """

    revision: Revision
    run: Run = field(default_factory=Run)
    dataset: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)
    experiments: dict[str, Evaluated | str] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


def read(root: Path, revision: Revision, run: Run, recorded: Recorded) -> Results:
    """Read the results of one revision after its pipeline has run.

    Parameters
    ----------
    recorded
        Metrics files and lock from before the run.

    Raises
    ------
    AuscultError
        The parameters cannot be read.
    """
    dataset, experiments, combinations = parameters.of_any_revision(root / parameters.FILE)
    made_by = {name: (f"evaluate@{name}", f"train@{name}") for name in experiments}
    made_by |= {name: (f"evaluate_combined@{name}", "combine") for name in combinations}
    paths, results = Paths(dataset), Results(revision, run, dataset, _parameters(root))
    results.lock = _lock(lockfile.in_workspace, root)
    for name, stages in made_by.items():
        path = paths.metrics(name).as_posix()
        in_git, reason = _metrics(recorded.metrics.get(path))
        why_outdated = recorded.why_outdated(path, results.lock) if in_git else ""
        if not why_outdated:
            in_git = {}
        if reason:
            results.faults.append((path, reason))
        if reason := next(filter(None, map(run.missing_reason, stages)), ""):
            results.experiments[name] = reason
            results.faults.append((f"experiment {name}", reason))
            continue
        try:
            results.experiments[name] = replace(
                _evaluated(root, paths, name, in_git, combinations), why_outdated=why_outdated
            )
        except (AuscultError, OSError, ValueError, KeyError, TypeError) as error:
            reason = error.what if isinstance(error, AuscultError) else f"{type(error).__name__}: {error}"
            reason = results.experiments[name] = without_root(root, reason)
            results.faults.append((paths.evaluation(name).as_posix(), reason))
    return results


def _parameters(root: Path) -> dict[str, Any]:
    """Return the parameters of the pipeline and, as ``flows``, those of the flows, where an earlier layout has them."""
    found: dict[str, Any] = yaml.safe_load(parameters.read(root / parameters.FILE))
    with suppress(AuscultError, yaml.YAMLError):  # the comparison reports settings of head that cannot be read
        found["flows"] = yaml.safe_load(parameters.read(root / settings.FILE))
    return found


def _lock(read: Callable[[Path], dict[str, Any] | None], root: Path) -> dict[str, Any]:
    """Return the stages of a lock; none where it is missing or damaged."""
    try:
        return read(root) or {}
    except lockfile.DamagedError:
        return {}


class _MetricsFile(BaseModel):
    validation: dict[str, FiniteFloat]
    test: dict[str, FiniteFloat]


def _metrics(content: bytes | None) -> tuple[Mapping[str, Mapping[str, float]], str]:
    """Return the values of a metrics file by part, and why they could not be read."""
    if content is None:
        return {}, "there is no such file in git: its metrics cannot be checked"
    try:
        return _MetricsFile.model_validate_json(content).model_dump(), ""
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        return {}, f"this is not a metrics file: {where}{': ' * bool(where)}{problem['msg']}"[:300]


def _evaluated(
    root: Path, paths: Paths, name: str, in_git: Mapping[str, Mapping[str, float]], combinations: Collection[str]
) -> Evaluated:
    folder = root / paths.evaluation(name)
    task = Task.from_json(read_json(folder / "evaluation.json")["task"])
    table = read_table(folder / "predictions.parquet")
    probabilities = [f"p_{slug(label)}" for label in task.classes]
    if missing := [column for column in (*_COLUMNS, *probabilities) if column not in table.columns]:
        raise ValueError(f"predictions.parquet lacks the column {missing[0]}")
    if table.duplicated(["part", "unit_id"]).any():
        raise ValueError("predictions.parquet has a unit twice")
    if table[["start_s", "end_s"]].isna().any(axis=None):
        raise ValueError("predictions.parquet has a unit without times")
    for column in ("class_index", "predicted"):
        if not table[column].between(0, len(task.classes) - 1).all():
            raise ValueError(f"predictions.parquet has a class in {column} that the task does not have")
    given = table[probabilities]
    if not given.ge(0.0).all(axis=None) or not given.sum(axis=1).sub(1.0).abs().lt(1e-3).all():
        raise ValueError("predictions.parquet has invalid probabilities: missing, negative, or not 1 in total")
    place = root / paths.evaluated_model(name, combinations)
    model, weights = place / "model.json", [file for folder in place.rglob("weights") for file in folder.glob("*")]
    size_mb = sum(file.stat().st_size for file in weights) / 1e6 if weights else None
    return Evaluated(task, table, file_sha256(model) if model.exists() else "", in_git, size_mb=size_mb)


def changed_parameters(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[Parameter]:
    """Return every parameter that differs, by its dotted name."""
    old, new = dict(_leaves(base)), dict(_leaves(head))
    return [Parameter(name[:200], _value(old, name), _value(new, name)) for name in _differing(old, new)]


def _value(leaves: Mapping[str, str], name: str) -> str | None:
    return shorten(leaves[name], 500) if name in leaves else None


def _leaves(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, json.dumps(value, ensure_ascii=False, default=str)


def changed_stages(base: Mapping[str, Any], head: Mapping[str, Any], base_run: Run, head_run: Run) -> list[Stage]:
    """Return every stage whose entry in the lock differs, that ran, or that failed; in head's order."""
    names = list(dict.fromkeys([*head_run.stages, *head, *base_run.stages, *base]))
    made = [
        _stage(name, base.get(name), head.get(name), base_run.stages.get(name), head_run.stages.get(name))
        for name in names
    ]
    return [each for each in made if each is not None]


def _stage(name: str, old: Any, new: Any, base: StageRun | None, head: StageRun | None) -> Stage | None:
    deps, params, outs = (_differing(read(old), read(new)) for read in (_deps, _params, _outs))
    state: Literal["changed", "added", "removed", "unchanged"] = "changed" if deps or params or outs else "unchanged"
    if old is None or new is None:
        state = "added" if old is None and (new is not None or base is None) else "removed"
        deps = params = outs = []  # all of it differs
    runs = [run for run in (base, head) if run is not None]
    if state == "unchanged" and all(run.outcome in ("unchanged", "taken from cache") for run in runs):
        return None
    return Stage(
        name[:120],
        state,
        _names(path for path in deps if path.startswith(CODE)),
        _names(params),
        _names(path for path in deps if not path.startswith(CODE)),
        _names(outs),
        base.outcome if base is not None else None,
        head.outcome if head is not None else None,
        base.seconds if base is not None else None,
        head.seconds if head is not None else None,
    )


def _names(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path[:120] for path in list(paths)[:100])


def _deps(entry: Any) -> dict[str, str]:
    return {str(each["path"]): str(each.get("md5", "")) for each in (entry or {}).get("deps", [])}


def _outs(entry: Any) -> dict[str, str]:
    return {str(each["path"]): str(each.get("md5", "")) for each in (entry or {}).get("outs", [])}


def _params(entry: Any) -> dict[str, str]:
    recorded = (entry or {}).get("params", {}).get("params.yaml", {})
    return {str(name): json.dumps(value, sort_keys=True, default=str) for name, value in recorded.items()}


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def recorded_digest(lock: Mapping[str, Any], path: str) -> str:
    """Return the digest that a lock records of an output; empty where it records none."""
    return next((found[path] for entry in lock.values() if path in (found := _outs(entry))), "")


def sizes(base: Mapping[str, Any], head: Mapping[str, Any], *, both: bool) -> list[Count]:
    """Return the bytes of the models and of all outputs, as the locks record them; base's only where *both*."""
    return [
        Count(name, _bytes(base, prefix) if both else None, _bytes(head, prefix))
        for name, prefix in (("models", "models/"), ("all outputs", ""))
    ]


def _bytes(lock: Mapping[str, Any], prefix: str) -> int:
    outs = (out for entry in lock.values() for out in entry.get("outs", []))
    return sum(int(out.get("size", 0)) for out in outs if str(out["path"]).startswith(prefix))
