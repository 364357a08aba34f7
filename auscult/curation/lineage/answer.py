"""The lineage of models and data as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.curation.lineage.lineage import DataLineage, ModelLineage, Traced, short
from auscult.curation.lineage.registered import Registered
from auscult.versioning.dvc_objects import RevisionOutputs
from auscult.versioning.history import Commit

SCHEMA = 1
_COUNTS = ("recordings", "patients", "segments", "hours")
_SHOWN = 5


def _counter(root: Path) -> Callable[[Commit, str], Mapping[str, float]]:
    """Return a function (commit, data set) → recordings, patients, segments and hours, which reads each once."""

    @cache
    def summary(sha: str, dataset: str) -> Mapping[str, float]:
        path = Paths(dataset).manifest / "summary.json"
        if not sha:
            return read_json(root / path)["counts"] if (root / path).exists() else {}
        with suppress(AuscultError), RevisionOutputs(root, sha, sha) as outputs:  # the answer is useful without it
            found: Mapping[str, float] = json.loads(outputs.read(path))["counts"]
            return found
        return {}

    def counts(commit: Commit, dataset: str) -> Mapping[str, float]:
        about = commit.version if "recordings" in commit.version else summary(commit.sha, dataset)
        return {name: about[name] for name in _COUNTS if name in about}

    return counts


def to_json(root: Path, traced: Traced) -> dict[str, Any]:
    """Return the lineage as plain data; ``agree`` tells whether MLflow and DVC agree."""
    counts = _counter(root)
    return {
        "schema": SCHEMA,
        "asked": traced.asked,
        "agree": not traced.disagreements,
        "disagreements": traced.disagreements,
        "models": [
            {
                **_model(one.model),
                "data": [
                    {"data_hash": run.data_hash, "version": run.data_version or None, "run": run.run_id}
                    for run in one.model.runs
                ],
                "commits": [_commit(commit) for commit in one.commits],
                "counts": dict(counts(one.commits[0], one.model.dataset)) if one.commits else {},
                "here": one.here,
                "disagreements": list(one.disagreements),
            }
            for one in traced.models
        ],
        "data": [
            {
                "dataset": one.dataset,
                "version": one.commit.version.get("name"),
                "commit": _commit(one.commit),
                "counts": dict(counts(one.commit, one.dataset)),
                "trained": [
                    {
                        "experiment": each.experiment,
                        "data_hash": each.data_hash,
                        "models": [_model(model) for model in each.versions],
                    }
                    for each in one.trained
                ],
                "disagreements": list(one.disagreements),
            }
            for one in traced.data
        ],
    }


def _model(model: Registered) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": model.number,
        "aliases": list(model.aliases),
        "experiment": model.experiment,
        "dataset": model.dataset,
        "digest": model.digest,
        "model_md5": model.md5 or None,
        "run": model.runs[0].run_id if model.runs else None,
        "scores": dict(model.runs[0].scores) if model.runs else {},
    }


def _commit(commit: Commit) -> dict[str, Any]:
    return {"commit": commit.sha or None, "date": commit.date or None, "subject": commit.subject or None}


def text(root: Path, traced: Traced) -> str:
    """Return the lineage as lines for a terminal."""
    counts = _counter(root)
    blocks = [_model_text(one, counts) for one in traced.models] + [_data_text(one, counts) for one in traced.data]
    lines = [line for block in blocks for line in (*block, "")]
    lines += [f"MLflow and DVC DISAGREE: {each}" for each in traced.disagreements] or ["MLflow and DVC agree."]
    return "\n".join(lines)


def _model_text(one: ModelLineage, counts: Callable[[Commit, str], Mapping[str, float]]) -> list[str]:
    model = one.model
    lines = [str(model), _line("model", f"{short(model.digest)}, model.json {short(model.md5) or 'unknown'}")]
    for run in model.runs:
        named = f" ({run.data_version})" if run.data_version else ""
        lines.append(_line("run", f"{run.run_id}{_scores(run.scores)}"))
        lines.append(_line("trained on", f"data {short(run.data_hash) or 'unknown'}{named}"))
    if one.commits:
        lines.append(_line("data", _counts(counts(one.commits[0], model.dataset))))
    lines += [_line("dvc.lock", str(commit)) for commit in one.commits[:_SHOWN]]
    if len(one.commits) > _SHOWN:
        lines.append(_line("", f"and {len(one.commits) - _SHOWN} older commits"))
    lines.append(_line("here", f"dvc.lock of the workspace has {one.here}"))
    return lines


def _data_text(one: DataLineage, counts: Callable[[Commit, str], Mapping[str, float]]) -> list[str]:
    version = one.commit.version.get("name")
    lines = [f"data set {one.dataset} at {one.commit}"]
    lines += [_line("version", str(version))] if version else []
    lines.append(_line("data", _counts(counts(one.commit, one.dataset))))
    for each in one.trained:
        lines.append(_line("", f"{each.experiment}, data {short(each.data_hash)}:"))
        lines += [f"    {model}{_scores(model.runs[0].scores)}" for model in each.versions] or [
            "    nothing registered"
        ]
    return lines


def _line(title: str, content: str) -> str:
    return f"  {title:<12}{content}" if title else f"  {content}"


def _scores(scores: Mapping[str, float]) -> str:
    return "".join(f", {part} {100 * value:.1f}" for part, value in scores.items())


def _counts(counts: Mapping[str, float]) -> str:
    return (
        ", ".join(f"{value:,g} {name}" for name, value in counts.items())
        or "neither the cache nor a remote has the counts"
    )
