"""Manual promotion and rollback; the models in service and the history of an experiment's versions as listings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auscult.core import params as parameters
from auscult.core.errors import AuscultError, unknown_name
from auscult.registry import service_record
from auscult.registry.versions import BEFORE, MANUAL, REASON, RESTORED, ROLLED_BACK, SINCE, Registry, Version


@dataclass(frozen=True)
class Registered:
    """A registered version as a listing shows it."""

    number: str
    #: When it was registered, as in ``2026-11-21 03:00 UTC``.
    created: str
    #: When it was last promoted; ``None`` if it never was.
    served_since: str | None
    #: When that ended; ``None`` if it is in service or never was.
    served_until: str | None
    #: Rule and reason of that promotion; empty if there was none.
    rule: str
    reason: str
    #: When and why it was rolled back or retired; empty if it was not.
    rolled_back: str
    #: When and why it came into service again by a rollback of a later one; empty if it did not.
    restored: str

    def __str__(self) -> str:
        lines = [f"version {self.number}, registered {self.created}"]
        if self.served_since is not None:
            until = "in service" if self.served_until is None else f"until {self.served_until}"
            lines.append(f"  served since {self.served_since}, {until}; {self.rule}: {self.reason}")
        if self.restored:
            lines.append(f"  in service again since {self.restored}")
        if self.rolled_back:
            lines.append(f"  rolled back {self.rolled_back}")
        return "\n".join(lines)


@dataclass(frozen=True)
class InService:
    """An experiment with the version in service and the challenger, if another one.

    Attributes
    ----------
    retired
        If nothing is in service: the version that was taken out of it last.
    lost
        Number of the version that git records as in service although the registry has none.
    """

    experiment: str
    champion: Registered | None
    challenger: str | None
    retired: Registered | None
    lost: str | None

    def __str__(self) -> str:
        text = "nothing in service"
        if (served := self.champion) is not None:
            since, rule, reason = (value or "?" for value in (served.served_since, served.rule, served.reason))
            text = f"version {served.number} since {since}, {rule}: {reason}"
            text += f"; in service again since {served.restored}" if served.restored else ""
        elif self.lost is not None:
            text += f", but git records version {self.lost}: auscult models restore"
        elif self.retired is not None:
            text += f" since {self.retired.rolled_back} (version {self.retired.number})"
        waiting = f"; challenger: version {self.challenger}" if self.challenger else ""
        return f"{self.experiment}: {text}{waiting}"


@dataclass(frozen=True)
class Overview:
    """The models in service of a data set; ``str()`` is the listing for a terminal."""

    dataset: str
    experiments: tuple[InService, ...]

    def __str__(self) -> str:
        return "\n".join([f"Data set {self.dataset}", *map(str, self.experiments)])


def promote(experiment: str, number: str | None, because: str, root: Path = Path()) -> str:
    """Put a version into service by a person's decision; return a line that says what was done.

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
            next_step=f"auscult models retrain, or: auscult models promote {experiment} --version N --because …",
        )
    before = registry.champion(dataset, experiment)
    if before is not None and before.number == version.number:
        return f"version {version.number} of {experiment} ({dataset}) is in service already"
    registry.promote(dataset, experiment, version, {"rule": MANUAL, "reason": because})
    instead = f" instead of version {before.number}" if before is not None else ""
    return f"version {version.number} of {experiment} ({dataset}) is in service{instead}{_objection(registry, version)}"


def _objection(registry: Registry, version: Version) -> str:
    """Return what spoke against a version before a person promoted it; empty if nothing did."""
    decision = registry.last_decision(version)
    texts = [f"it was rolled back {version.tags[ROLLED_BACK]}"] if ROLLED_BACK in version.tags else []
    if (outcome := decision.get("outcome")) in ("refuse", "undecided"):
        verb = "refused it" if outcome == "refuse" else "did not decide on it"
        texts.append(f"the gate {verb} ({decision.get('run')}): {decision.get('reason')}")
    return "".join(f"\nNote: {text}" for text in texts)


def roll_back(experiment: str, because: str, root: Path = Path()) -> str:
    """Put the previous champion into service again; return a line that says what was done."""
    dataset = _dataset(experiment, root)
    rolled_back, restored = Registry(root).roll_back(dataset, experiment, because)
    return (
        f"version {restored.number} of {experiment} ({dataset}) is in service again;"
        f" version {rolled_back.number} is rolled back, and no retraining promotes that model"
    )


def retire(experiment: str, because: str, root: Path = Path()) -> str:
    """Take the version in service out of it, with nothing in its place; return a line that says what was done."""
    dataset = _dataset(experiment, root)
    registry = Registry(root)
    recorded = service_record.champion(root, dataset, experiment)
    if recorded is not None and registry.champion(dataset, experiment) is None:  # the alias was removed in MLflow
        registry.record(dataset, experiment)
        return f"nothing is in service for {experiment} ({dataset}), and git records so now"
    retired = registry.retire(dataset, experiment, because)
    return (
        f"nothing is in service for {experiment} ({dataset}): version {retired.number} is retired, and no retraining"
        " promotes that model"
    )


def overview(root: Path = Path()) -> Overview:
    """Return the champion and the challenger of every experiment of the data set that ``params.yaml`` names."""
    params = parameters.load(root / parameters.FILE)
    registry = Registry(root)
    found = []
    for experiment in params.experiments:
        champion = registry.champion(params.dataset, experiment)
        challenger = registry.challenger(params.dataset, experiment)
        served = _registered(champion, until=None) if champion is not None else None
        waiting = challenger.number if challenger is not None else None
        if served is not None and waiting == served.number:
            waiting = None
        ended = [] if served is not None else [v for v in history(experiment, root) if v.rolled_back]
        retired = max(ended, key=lambda version: version.rolled_back, default=None)
        lost = service_record.champion(root, params.dataset, experiment) if served is None else None
        found.append(InService(experiment, served, waiting, retired, lost["number"] if lost is not None else None))
    return Overview(params.dataset, tuple(found))


def history(experiment: str, root: Path = Path()) -> list[Registered]:
    """Return all registered versions of an experiment, the newest first.

    Raises
    ------
    AuscultError
        There is no such experiment, or no registry yet.
    """
    dataset = _dataset(experiment, root)
    registry = Registry(root)
    champion = registry.champion(dataset, experiment)
    versions = registry.versions(dataset, experiment)
    in_service = champion.number if champion is not None else None
    return [_registered(each, until=None if each.number == in_service else _ended(each, versions)) for each in versions]


def _ended(version: Version, versions: list[Version]) -> str | None:
    """Return when a version's time in service ended: when it was rolled back, or when another version replaced it."""
    if ROLLED_BACK in version.tags:
        return version.tags[ROLLED_BACK].partition(": ")[0]
    replaced = [each.tags[SINCE] for each in versions if each.tags.get(BEFORE) == version.number]
    return max(replaced, default=None)


def _registered(version: Version, *, until: str | None) -> Registered:
    return Registered(
        number=version.number,
        created=version.created,
        served_since=version.tags.get(SINCE),
        served_until=until,
        rule=version.rule,
        reason=version.tags.get(REASON, ""),
        rolled_back=version.tags.get(ROLLED_BACK, ""),
        restored=version.tags.get(RESTORED, ""),
    )


def _dataset(experiment: str, root: Path) -> str:
    params = parameters.load(root / parameters.FILE)
    if experiment not in params.experiments:
        next_step = "name one of these, of the data set that params.yaml names"
        raise unknown_name("experiment", experiment, params.experiments, where="params.yaml", next_step=next_step)
    return params.dataset
