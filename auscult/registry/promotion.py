"""Promotion and rollback by hand, and what is in service."""

from __future__ import annotations

from pathlib import Path

from auscult.core.errors import AuscultError, unknown_name
from auscult.registry.versions import REASON, RULE, SINCE, Registry
from auscult.settings import load


def promote(experiment: str, number: str | None, because: str, root: Path = Path()) -> str:
    """Put a version into service because a person says so; returns what was done, in words.

    Parameters
    ----------
    number
        Of the version; ``None`` for the challenger.

    Raises
    ------
    AuscultError
        There is no such experiment or version, or no challenger.
    """
    dataset = _dataset(experiment, root)
    registry = Registry(root)
    version = registry.version(dataset, experiment, number) if number else registry.challenger(dataset, experiment)
    if version is None:
        known = ", ".join(each.number for each in registry.versions(dataset, experiment)) or "none"
        raise AuscultError(
            f"there is no challenger for {experiment} of {dataset}; versions: {known}",
            where="mlflow.db",
            next_step=f"python -m auscult.cli retrain, or: python -m auscult.cli promote {experiment} --version N --because …",
        )
    before = registry.champion(dataset, experiment)
    if before is not None and before.number == version.number:
        return f"version {version.number} of {experiment} ({dataset}) is in service already"
    registry.promote(dataset, experiment, version, {"rule": "by_hand", "reason": because})
    instead = f" instead of version {before.number}" if before is not None else ""
    return f"version {version.number} of {experiment} ({dataset}) is in service{instead}"


def roll_back(experiment: str, because: str, root: Path = Path()) -> str:
    """Put the champion before the present one into service again; returns what was done, in words."""
    dataset = _dataset(experiment, root)
    withdrawn, restored = Registry(root).roll_back(dataset, experiment, because)
    return (
        f"version {restored.number} of {experiment} ({dataset}) is in service again;"
        f" version {withdrawn.number} is withdrawn, and no retraining promotes that model"
    )


def overview(root: Path = Path()) -> str:
    """A line per experiment: its champion, since when, and why."""
    params, _ = load(root)
    registry = Registry(root)
    lines = [f"Data set {params.dataset}"]
    for experiment in params.experiments:
        champion = registry.champion(params.dataset, experiment)
        challenger = registry.challenger(params.dataset, experiment)
        served = "nothing in service"
        if champion is not None:
            since, rule, reason = (champion.tags.get(name, "?") for name in (SINCE, RULE, REASON))
            served = f"version {champion.number} since {since}, {rule}: {reason}"
        waits = challenger is not None and (champion is None or challenger.number != champion.number)
        waiting = f"; challenger: version {challenger.number}" if challenger is not None and waits else ""
        lines.append(f"{experiment}: {served}{waiting}")
    return "\n".join(lines)


def _dataset(experiment: str, root: Path) -> str:
    params, _ = load(root)
    if experiment not in params.experiments:
        next_step = "name one of these, of the data set that params.yaml names"
        raise unknown_name("experiment", experiment, params.experiments, where="params.yaml", next_step=next_step)
    return params.dataset
