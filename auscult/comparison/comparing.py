"""From two sides that were read to the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from auscult.comparison import figures, noise, recorded
from auscult.comparison.document import SCHEMA, Comparison, Data, Experiment, Fault, Part, PartName, Side
from auscult.comparison.figures import Method
from auscult.comparison.noise import Noise
from auscult.comparison.revision import Answered, SideRead
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.versioning.graph import Run

_PARTS: tuple[PartName, ...] = ("validation", "test")
#: Experiments that a comparison holds.
_MOST = 100


@dataclass
class Made:
    """One side as it was made.

    Attributes
    ----------
    side
        Who it is; its ``fault`` says why nothing was read.
    read
        ``None`` where nothing could be read.
    """

    side: Side
    run: Run = field(default_factory=Run)
    read: SideRead | None = None


def document(root: Path, base: Made, head: Made, asked: Method, data: Data | None) -> Comparison:
    """The comparison of two sides.

    Parameters
    ----------
    root
        Where the table of retraining noise lies.
    asked
        With the confidence that all experiments share.
    """
    old = base.read or SideRead("")
    new = head.read or SideRead(old.dataset)
    if base.read and head.read and old.dataset != new.dataset:
        why = f"base is about the data set {old.dataset}, head about {new.dataset}: no figure can be compared"
        base, old = Made(replace(base.side, fault=why), base.run), SideRead("")
    names = list(dict.fromkeys([*new.experiments, *old.experiments]))
    shared_by = max(1, len(new.experiments.keys() & old.experiments.keys()))
    method = Method(
        round(1.0 - (1.0 - asked.confidence) / shared_by, 6), asked.resamples, asked.seed, asked.min_patients
    )
    table, unread = _noise(root, new.dataset)
    lacking = "" if base.read else "there is no base to compare with"
    lacking = lacking if head.read else "nothing of the head could be read"
    experiments = [
        _experiment(name, old.experiments.get(name), new.experiments.get(name), table, method, lacking)
        for name in names[:_MOST]
    ]
    experiments = [_measured_otherwise(each, old, new) if each.state == "same" else each for each in experiments]
    both = not lacking
    lock = new.lock if head.read else old.lock
    return Comparison(
        SCHEMA,
        new.dataset,
        base.side,
        head.side,
        method.confidence,
        shared_by,
        method.resamples,
        tuple(experiments),
        tuple(recorded.parameters(old.params, new.params)[:400] if both else ()),
        data,
        tuple(recorded.stages(old.lock if both else lock, lock, base.run, head.run)[:400]),
        tuple(recorded.sizes(old.lock, new.lock, both=both) if new.lock else ()),
        tuple([*unread, *_left_out(names), *_faults("head", new), *_faults("base", old)][:400]),
    )


def _experiment(
    name: str,
    old: Answered | str | None,
    new: Answered | str | None,
    table: Mapping[str, Noise],
    method: Method,
    lacking: str,
) -> Experiment:
    """One experiment, whatever there is of it; a string is why a side has no answers, *lacking* why there is none."""
    if isinstance(old, Answered) and isinstance(new, Answered):
        return _compared(name, old, new, table, method)
    there = new if isinstance(new, Answered) else old if isinstance(old, Answered) else None
    parts = _alone(there, is_head=there is new) if there is not None else ()
    task = there.task.name if there is not None else ""
    if old is None or new is None:
        state: Literal["added", "removed", "unreadable"] = "removed" if new is None else "added"
        note = next((each for each in (new, old) if isinstance(each, str)), "")
        if lacking:  # what is not known to be there is not gone either
            state, note = "unreadable", note or lacking
        return Experiment(name, task, state, "not measured", _cut(note), parts)
    notes = [f"{side}: {each}" for side, each in (("head", new), ("base", old)) if isinstance(each, str)]
    return Experiment(name, task, "unreadable", "not measured", _cut("; ".join(notes)), parts)


def _compared(name: str, old: Answered, new: Answered, table: Mapping[str, Noise], method: Method) -> Experiment:
    if old.task.normal != new.task.normal or old.task.unit != new.task.unit:
        note = (
            f"the task differs: {old.task.unit}s with {old.task.normal!r} as normal in base,"
            f" {new.task.unit}s with {new.task.normal!r} in head"
        )
        return Experiment(name, new.task.name, "unreadable", "not measured", _cut(note), _alone(new, is_head=True))
    same_model = old.model == new.model != ""
    same = same_model and figures.equal_answers(old, new)
    known = noise.SAME_MODEL if same_model else noise.find(table, name)
    parts = tuple(figures.compare(part, old, new, known, method, same=same) for part in _PARTS)
    note = ""
    if old.task.classes != new.task.classes:
        note = "the classes differ: compared on units whose class has the same name on both sides"
    elif same_model and not same:
        note = "the model files are the same, the answers are not: what differs is the evaluation or the data"
    return Experiment(name, new.task.name, "same" if same else "compared", known.kind, note, parts)


def _measured_otherwise(experiment: Experiment, old: SideRead, new: SideRead) -> Experiment:
    """The same answers, but another metrics file: head's metrics give both sides the same figures."""
    path = Paths(new.dataset).metrics(experiment.name).as_posix()
    if recorded.digest(old.lock, path) == recorded.digest(new.lock, path):
        return experiment
    why = "the model and its answers are the same, the metrics files are not: they are computed in another way"
    return replace(experiment, note=f"{why}; shown are head's figures of both")


def _noise(root: Path, dataset: str) -> tuple[Mapping[str, Noise], list[Fault]]:
    """The table of retraining noise, or why it is as if it had not been measured."""
    try:
        return noise.load(root, dataset), []
    except DataError as error:
        return {}, [Fault("head", noise.FILE.as_posix(), _cut(error.what))]


def _left_out(names: Sequence[str]) -> list[Fault]:
    if len(names) <= _MOST:
        return []
    why = f"of {len(names)} experiments the first {_MOST} are compared, nothing is said of the others"
    return [Fault("head", "experiments", why)]


def _alone(side: Answered, *, is_head: bool) -> tuple[Part, ...]:
    return tuple(figures.alone(part, side, is_head=is_head) for part in _PARTS)


def _cut(text: str, most: int = 600) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _faults(side: Literal["base", "head"], read: SideRead) -> list[Fault]:
    found = [Fault(side, where[:200], _cut(why)) for where, why in read.faults]
    for name, answered in read.experiments.items():
        if isinstance(answered, Answered) and answered.in_git:
            where = Paths(read.dataset).metrics(name).as_posix()[:200]
            found += [Fault(side, where, _cut(why)) for why in figures.disagreements(answered)]
    return found
