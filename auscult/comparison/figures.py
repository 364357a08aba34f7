"""Paired differences of every metric, head minus base, with intervals over patients and over retrainings.

Both sides' answers to the same units are weighed with the same resamples of patients
(:func:`auscult.evaluation.bootstrap.patient_weights`), by this checkout's metrics. Where the two models are not the same
files, a retraining alone would have moved each of them: a normal draw with twice the measured variance of the figure
is added to each resampled difference. The ends are the expanded percentile ones of :mod:`auscult.registry.gate.interval`, or
Student's t where that reaches further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auscult.comparison.document import Figure, Mark, Part, PartName
from auscult.comparison.noise import Noise
from auscult.comparison.pairing import aligned
from auscult.evaluation.bootstrap import DIGITS, figures_with_intervals, interval, patient_weights
from auscult.evaluation.metrics import Answers, confusions, slug
from auscult.registry.gate.interval import expanded_tail, count_patients

if TYPE_CHECKING:
    import pandas as pd

    from auscult.comparison.revision import Answered

#: Figures of which less is better.
LOWER = frozenset({"brier", "log_loss", "calibration_error"})
#: Columns of other answers to the same units; their score is shown.
BASELINES = ("constant", "no_audio", "opponent")
#: What must be equal, besides the probabilities, for answers to be the same.
_ALIKE = ("patient_id", "start_s", "end_s", "class_index", "predicted")
#: Figures less far apart than this agree: answers are stored with nine digits, figures with six.
CLOSE = 1e-4


@dataclass(frozen=True)
class Method:
    """How an interval is made.

    Attributes
    ----------
    confidence
        Of one interval, after the experiments have shared the error.
    min_patients
        With normal and with abnormal units each; fewer give no interval.
    """

    confidence: float
    resamples: int
    seed: int
    min_patients: int


#: Where there is nothing to compare with: values without intervals.
VALUES_ALONE = Method(confidence=0.95, resamples=1, seed=0, min_patients=0)


@dataclass(frozen=True)
class _Measured:
    """One model's figures: plain values or why undefined, and over the resamples."""

    answers: Answers
    figures: Mapping[str, Mapping[str, Any]]
    resampled: Mapping[str, NDArray[np.float64]]


def compare(part: PartName, base: Answered, head: Answered, noise: Noise, method: Method, *, same: bool) -> Part:
    """One part of one experiment on both sides.

    Parameters
    ----------
    same
        The two are the same model with the same answers.
    """
    old, new = _of_part(base.table, part), _of_part(head.table, part)
    common = aligned(base, head, old, new)
    sides = [_measured(side, table, part, method) for side, table in zip((base, head), common, strict=True)]
    names = list(dict.fromkeys([*sides[1].figures, *sides[0].figures]))
    figures = [
        _figure(name, sides[0], sides[1], _drawn(noise.of(part, name), method), method, same=same) for name in names
    ]
    return Part(
        part,
        len(old),
        len(new),
        len(common[1]),
        int(common[1]["patient_id"].nunique()),
        head.task.classes,
        tuple(figures),
        _confusion(sides[0].answers) if base.task.classes == head.task.classes else (),
        _confusion(sides[1].answers),
    )


def alone(part: PartName, side: Answered, *, is_head: bool) -> Part:
    """One part of an experiment that only one side has."""
    table = _of_part(side.table, part)
    measured = _measured(side, table, part, VALUES_ALONE)
    figures = []
    for name, entry in measured.figures.items():
        value = entry.get("value")
        base, head = (None, value) if is_head else (value, None)
        figures.append(Figure(name, base, head, None, None, "unknown", str(entry.get("undefined", ""))))
    matrix, count = _confusion(measured.answers), len(table)
    return Part(
        part,
        0 if is_head else count,
        count if is_head else 0,
        count,
        int(table["patient_id"].nunique()),
        side.task.classes,
        tuple(figures),
        () if is_head else matrix,
        matrix if is_head else (),
    )


def equal_answers(base: Answered, head: Answered) -> bool:
    """Whether both sides answered the same units in the same way."""
    columns = [*_probabilities(head), *_ALIKE, *(name for name in BASELINES if name in head.table)]
    if base.task != head.task or any(column not in base.table for column in columns):
        return False
    tables = [
        each.table.sort_values(["part", "unit_id"])[["part", "unit_id", *columns]].reset_index(drop=True)
        for each in (base, head)
    ]
    return bool(tables[0].equals(tables[1]))


def disagreements(side: Answered) -> Iterator[str]:
    """What the metrics file says otherwise than the answers do, in words."""
    for part, said in side.in_git.items():
        found = _measured(side, _of_part(side.table, part), part, VALUES_ALONE).figures
        values = {name: entry["value"] for name, entry in found.items() if "value" in entry}
        distance = {name: abs(said[name] - values[name]) for name in said if name in values}
        apart = {name: far for name, far in distance.items() if far > CLOSE}
        if apart:
            worst = max(apart, key=lambda name: apart[name])
            yield (
                f"{len(apart)} {part} figures in git are not those of this pipeline, such as {worst}:"
                f" {said[worst]:.3f} in git, {values[worst]:.3f} here"
            )
        if odd := sorted(set(said) ^ set(values)):
            yield f"{len(odd)} {part} figures are on one side only of git and this pipeline, such as {odd[0]}"


def _of_part(table: pd.DataFrame, part: str) -> pd.DataFrame:
    return table[table["part"] == part]


def _probabilities(side: Answered) -> list[str]:
    return [f"p_{slug(name)}" for name in side.task.classes]


def _answers(side: Answered, table: pd.DataFrame, column: str = "predicted") -> Answers:
    predicted = table[column].to_numpy(dtype=np.int64)
    given = table[_probabilities(side)].to_numpy(dtype=np.float64)
    if column != "predicted":
        given = np.eye(len(side.task.classes))[predicted]
    y, patients = table["class_index"].to_numpy(dtype=np.int64), table["patient_id"].to_numpy(dtype=object)
    return Answers(side.task, y, predicted, given, patients)


def _measured(side: Answered, table: pd.DataFrame, part: str, method: Method) -> _Measured:
    answers = _answers(side, table)
    weights = patient_weights(answers.patients, method.resamples, method.seed)
    figures, resampled = figures_with_intervals(answers, weights, method.confidence, part)
    for name in BASELINES:
        if name in table:
            other, over = figures_with_intervals(_answers(side, table, name), weights, method.confidence, part)
            figures[f"{name}_score"], resampled[f"{name}_score"] = other["score"], over["score"]
    return _Measured(answers, figures, resampled)


def _drawn(spread: float | None, method: Method) -> NDArray[np.float64] | None:
    """What two retrainings that differ by nothing would add to each resample; ``None`` where that is not known."""
    if spread is None:
        return None
    return np.random.default_rng([method.seed, 1]).normal(0.0, np.sqrt(2.0) * spread, method.resamples)


def _figure(
    name: str, base: _Measured, head: _Measured, drawn: NDArray[np.float64] | None, method: Method, *, same: bool
) -> Figure:
    old, new = (side.figures.get(name, {"undefined": "not a figure of this side's task"}) for side in (base, head))
    values = (old.get("value"), new.get("value"))
    if values[0] is None or values[1] is None:
        note = old.get("undefined") or new.get("undefined") or ""
        return Figure(name, *values, None, None, "unknown", str(note))
    if same:
        return Figure(name, *values, None, None, "same", "")
    moved = head.resampled[name] - base.resampled[name]
    why = _no_interval(name, moved, head.answers, method)
    if why or drawn is None:
        return Figure(name, *values, None, None, "unknown", why or "no interval: its retraining noise is not known")
    moved = (moved + drawn)[np.isfinite(moved)]
    low, high = _ends(values[1] - values[0], moved, min(count_patients(head.answers)), method.confidence)
    return Figure(name, *values, low, high, _mark(name, low, high), "")


def _ends(value: float, moved: NDArray[np.float64], patients: int, confidence: float) -> tuple[float, float]:
    """Both ends of the interval: the expanded percentiles, or Student's t where that reaches further.

    Of few patients there are few different resamples: their quantiles end where the confidence asked for begins.
    """
    from scipy.special import stdtrit

    tail = expanded_tail(confidence, patients)
    low, high = np.quantile(moved, [tail, 1.0 - tail])
    student = float(stdtrit(patients - 1, (1.0 + confidence) / 2.0))
    half = student * float(np.sqrt(patients / (patients - 1))) * float(np.std(moved))
    return round(min(float(low), value - half), DIGITS), round(max(float(high), value + half), DIGITS)


def _no_interval(name: str, moved: NDArray[np.float64], answers: Answers, method: Method) -> str:
    """Why there is no interval, or empty."""
    normal, abnormal = count_patients(answers)
    if min(normal, abnormal) < method.min_patients:
        return (
            f"no interval: {normal} patients with normal, {abnormal} with abnormal {answers.task.unit}s,"
            f" {method.min_patients} of each are asked for"
        )
    figure = "score" if name.removesuffix("_score") in BASELINES else name
    return str(interval(moved, method.confidence, answers, figure).get("no_interval", ""))


def _mark(name: str, low: float, high: float) -> Mark:
    if low <= 0.0 <= high:
        return "within noise"
    return "better" if (low > 0.0) != (name in LOWER) else "worse"


def _confusion(answers: Answers) -> tuple[tuple[int, ...], ...]:
    counts = confusions(answers, np.ones((1, len(answers))))[0].astype(int)
    return tuple(tuple(int(cell) for cell in row) for row in counts)
