"""Example comparisons, and the comments that they give.

``python -m tests.comparison.documents`` writes the comments to ``golden/``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from auscult.comparison.document import (
    SCHEMA,
    Comparison,
    Count,
    Data,
    Experiment,
    Fault,
    Limit,
    Mark,
    Metric,
    Parameter,
    Part,
    PartName,
    Revision,
    Stage,
)
from auscult.comparison.markdown import render

GOLDEN = Path(__file__).with_name("golden")
BASE, HEAD = Revision("main", "a" * 40, False, ""), Revision("change", "b" * 40, False, "")


def metric(name: str, base: float | None, head: float | None, mark: Mark = "within noise", note: str = "") -> Metric:
    """Return a metric with an interval around the difference that agrees with its mark."""
    half = 0.2 if mark == "within noise" else 0.03
    moved = None if base is None or head is None or mark in ("same", "unknown") else head - base
    low, high = (None, None) if moved is None else (round(moved - half, 6), round(moved + half, 6))
    return Metric(name, base, head, low, high, mark, note, None if moved is None else round(1.4 * half, 6))


def part(name: PartName, base: float | None, head: float | None, mark: Mark = "within noise") -> Part:
    """Return a part with a score, a loss that moved in the other direction, and a metric that base lacks; a baseline.

    A revision whose score is None has no values at all; with the mark "same" both have the same.
    """
    same = mark == "same"
    why = "" if same else f"undefined: no 'wheeze' in the {name} part"
    old, new = ((50, 9), (12, 58)), ((53, 6), (11, 59))
    metrics: tuple[Metric, ...] = (
        metric("score", base, head, mark),
        metric("log_loss", base and (0.62 if same else 0.8), head and 0.62, mark if same or not base else "better"),
        metric("recall_wheeze", 0.5 if same else None, head and 0.5, "same" if same else "unknown", why),
    )
    if base and head and not same:
        metrics += (metric("opponent_score", 0.6, 0.6),)
    return Part(
        name,
        129 if base is not None else 0,
        129 if head is not None else 0,
        129,
        9,
        ("normal", "CAS & DAS"),
        metrics,
        () if base is None else new if same else old,
        () if head is None else new,
    )


def experiment(
    name: str, base: float | None, head: float | None, mark: Mark = "within noise", **changes: object
) -> Experiment:
    """Return an experiment whose validation score has that mark; its test score has not moved beyond noise."""
    test = mark if mark in ("same", "unknown") else "within noise"
    parts = (part("validation", base, head, mark), part("test", base and base - 0.05, head and head - 0.05, test))
    made = Experiment(name, "sounds", "compared", "measured", "", parts)
    return replace(made, **changes)  # type: ignore[arg-type]


def mean(name: str, base: float, head: float, mark: Mark) -> Experiment:
    """Return the mean of experiments, which has the score alone; that of the test part has not moved beyond noise."""
    parts = []
    for which, its in (("validation", mark), ("test", "within noise")):
        score = metric("score", base, head, its)  # type: ignore[arg-type]
        parts.append(Part(which, 258, 258, 258, 9, (), (score,), (), ()))  # type: ignore[arg-type]
    return Experiment(name, "", "compared", "measured", "", tuple(parts))


def comparison(*experiments: Experiment, **changes: object) -> Comparison:
    """Return a comparison of experiments in which nothing else has changed."""
    data = Data("sample-11a6ad31", "sample-11a6ad31", False, ())
    shared = max(1, len(experiments))
    made = Comparison(
        SCHEMA, "sample", BASE, HEAD, round(1 - 0.05 / shared, 6), shared, 4000, experiments, (), data, (), (), ()
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def golden() -> dict[str, Comparison]:
    """Return name of a golden comment → its comparison."""
    same = experiment("same", 0.7, 0.7, "same", state="same", noise="same model")
    few = "no interval: 2 patients with normal, 7 with abnormal recordings; 8 of each are needed"
    unknown = experiment("few", 0.7, 0.8, "unknown")
    unknown = replace(
        unknown,
        parts=tuple(replace(each, metrics=(metric("score", 0.7, 0.8, "unknown", few),)) for each in unknown.parts),
    )
    moved = experiment("one", 0.7, 0.71)
    fewer = tuple(replace(each, units=120, head_units=125) for each in moved.parts)
    everything = comparison(
        experiment("sounds_logmel_cnn2d", 0.765, 0.85, "better"),
        experiment("binary_mfcc_cnn2d", 0.575, 0.571, noise="pooled"),
        parameters=(
            Parameter("flows.gate.margin", "0.02", "0.01"),
            Parameter("train.epochs", "6", "9"),
            Parameter("train.new", None, '["a", "b"]'),
        ),
        stages=(
            Stage(
                "train@x", "changed", (), ("train.epochs",), (), ("models/x",), "taken from cache", "ran", None, 12.3
            ),
            Stage("describe", "added", (), (), (), (), None, "ran", None, 1.0),
        ),
        sizes=(Count("models", 5_300_000, 5_310_000), Count("all outputs", None, 2_100_000_000)),
    )
    data = Data("sample-11a6ad31", "sample-99f00d00", True, (Count("recordings", 204, 200), Count("added", None, 3)))
    missed = (Limit("recall_both", 0.43, 0.05, 0.2, True), Limit("size_mb", None, 120.0, 100.0, False))
    as_base = (Limit("recall_crackle", 0.1, 0.15, 0.2, True),)
    return {
        "better": everything,
        "refused": comparison(
            experiment("sounds_logmel_cnn2d", 0.765, 0.75, limits=missed),
            experiment("binary_mfcc_cnn2d", 0.575, 0.571, limits=as_base),
        ),
        "worse": comparison(experiment("sounds_logmel_cnn2d", 0.765, 0.62, "worse")),
        "worse_mean": comparison(
            experiment("one", 0.7, 0.62),
            experiment("two", 0.7, 0.62),
            confidence=round(1 - 0.05 / 3, 6),
            shared_by=3,
            mean=mean("mean of 2 experiments", 0.7, 0.62, "worse"),
        ),
        "mixed": comparison(experiment("one", 0.7, 0.8, "better"), experiment("two", 0.7, 0.6, "worse"), same),
        "perhaps": comparison(experiment("one", 0.7, 0.8, "better", noise="not measured")),
        "no_difference": comparison(moved, same, unknown),
        "nothing_changed": comparison(same),
        "broken_file": comparison(
            same, faults=(Fault("head", "reports/sample/metrics/x.json", "this is not a metrics file"),)
        ),
        "other_data": comparison(replace(moved, parts=fewer), data=data),
        "no_base": comparison(
            experiment("same", None, 0.7, "unknown", state="unreadable", note="there is no base to compare with"),
            base=Revision("main", "", False, "this is the first commit: there is nothing before it"),
            data=None,
        ),
        "removed": comparison(
            experiment("gone", 0.7, None, "unknown", state="removed"),
            unknown,
            head=replace(HEAD, dirty=True),
            confidence=0.95,
            shared_by=1,
        ),
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, made in golden().items():
        (GOLDEN / f"{name}.md").write_text(render(made))
