"""The lineage of models and data as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auscult.curation.lineage.lineage import DataLineage, ModelLineage, Traced, short
from auscult.curation.lineage.registered import Registered
from auscult.versioning.history import Commit

SCHEMA = 1
#: Number of commits of a model that the text shows.
_SHOWN = 5


def to_json(traced: Traced) -> dict[str, Any]:
    """Return the lineage as plain data; ``agree`` tells whether MLflow and DVC agree."""
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
                "counts": dict(one.counts),
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
                "counts": dict(one.counts),
                "trained": [
                    {
                        "experiment": each.experiment,
                        "data_hash": each.data_hash,
                        "models": [_model(model) for model in each.versions],
                    }
                    for each in one.trained
                ],
                "not_trained": list(one.not_trained),
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


def text(traced: Traced) -> str:
    """Return the lineage as lines for a terminal."""
    lines = [line for one in traced.models for line in (*_model_text(one), "")]
    lines += [line for one in traced.data for line in (*_data_text(one), "")]
    lines += [f"MLflow and DVC DISAGREE: {each}" for each in traced.disagreements] or ["MLflow and DVC agree."]
    return "\n".join(lines)


def _model_text(one: ModelLineage) -> list[str]:
    model, older = one.model, len(one.commits) - _SHOWN
    lines = [str(model), _line("model", f"{short(model.digest)}, model.json {short(model.md5) or 'unknown'}")]
    for run in model.runs:
        named = f" ({run.data_version})" if run.data_version else ""
        lines.append(_line("run", f"{run.run_id}{_scores(run.scores)}"))
        lines.append(_line("trained on", f"data {short(run.data_hash) or 'unknown'}{named}"))
    if one.commits:
        lines.append(_line("data", _counts(one.counts)))
    lines += [_line("dvc.lock", str(commit)) for commit in one.commits[:_SHOWN]]
    lines += [_line("", f"and {older} older commits")] if older > 0 else []
    return [*lines, _line("here", f"dvc.lock of the workspace has {one.here}")]


def _data_text(one: DataLineage) -> list[str]:
    lines = [f"data set {one.dataset} at {one.commit}"]
    lines += [_line("version", str(name))] if (name := one.commit.version.get("name")) else []
    lines.append(_line("data", _counts(one.counts)))
    for each in one.trained:
        versions = [f"    {model}{_scores(model.runs[0].scores)}" for model in each.versions]
        lines += [_line("", f"{each.experiment}, data {short(each.data_hash)}:")]
        lines += versions or ["    nothing registered"]
    if one.not_trained:
        lines.append(
            _line("not trained", f"{', '.join(one.not_trained)}: on another version of the data (auscult run)")
        )
    return lines


def _line(title: str, content: str) -> str:
    return f"  {title:<12}{content}" if title else f"  {content}"


def _scores(scores: Mapping[str, float]) -> str:
    return "".join(f", {part} {100 * value:.1f}" for part, value in scores.items())


def _counts(counts: Mapping[str, float]) -> str:
    listed = ", ".join(f"{value:,g} {name}" for name, value in counts.items())
    return listed or "neither the cache nor a remote has the counts"
