"""Confusion, ROC and reliability as PNG: the same bytes from the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auscult.evaluation.curves import reliability, roc
from auscult.evaluation.metrics import Answers, confusions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1c2b33", "#5f6f78", "#d9e0e3"
BLUE, ORANGE, GREY = "#1f6f8b", "#b5591c", "#7c8a92"
LINES = {"model": (BLUE, "-"), "opponent": (ORANGE, "--"), "no_audio": (GREY, ":")}
NAMES = {"model": "model", "opponent": "gradient boosting", "no_audio": "no audio"}


def draw(folder: Path, answers: Mapping[str, Answers]) -> None:
    """Write ``confusion.png``, ``roc.png`` and ``reliability.png``.

    Parameters
    ----------
    folder
        Where to.
    answers
        Of ``model`` and of the baselines, on the test part.
    """
    for name, picture in (("confusion", _confusion), ("roc", _roc), ("reliability", _reliability)):
        figure, axes = _canvas()
        picture(axes, answers)
        save(figure, folder / f"{name}.png")


def save(figure: Figure, path: Path) -> None:
    """Write a picture without the marks of its making (software version, date)."""
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _canvas() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 3.8), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    style(axes)
    return figure, axes


def style(axes: Axes) -> None:
    """Quiet axes: no box, light ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9, color=MUTED)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _confusion(axes: Axes, answers: Mapping[str, Answers]) -> None:
    model = answers["model"]
    names = model.task.classes
    counts = confusions(model, np.ones((1, len(model))))[0]
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(shares, cmap="GnBu", vmin=0, vmax=1.15)
    small = 9 if len(names) <= 4 else 7
    for row in range(len(names)):
        for column in range(len(names)):
            share, count = shares[row, column], int(counts[row, column])
            text = f"{share:.0%}\n{count}" if totals[row, 0] else "–"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=small, color="white" if share > 0.75 else INK
            )
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) <= 3 else 35, ha="center", fontsize=small)
    axes.set_yticks(range(len(names)), names, fontsize=small)
    axes.set_xlabel("answered", fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _roc(axes: Axes, answers: Mapping[str, Answers]) -> None:
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    drawn = False
    for name, (colour, line) in LINES.items():
        if name not in answers:
            continue
        fpr, tpr, _ = roc(answers[name].abnormal, answers[name].y != answers[name].task.normal_index)
        if len(fpr):
            drawn = True
            axes.plot(
                fpr, tpr, color=colour, linestyle=line, linewidth=2 if name == "model" else 1.4, label=NAMES[name]
            )
    if drawn:
        axes.legend(loc="lower right", fontsize=9, frameon=False, labelcolor=INK)
        _mark_operating_point(axes, answers["model"])
    else:
        axes.text(0.5, 0.5, "undefined:\none class in the test part", ha="center", va="center", color=INK)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("normal called abnormal", fontsize=10)
    axes.set_ylabel("abnormal called abnormal", fontsize=10)


def _mark_operating_point(axes: Axes, model: Answers) -> None:
    """A dot where the model's decisions stand."""
    normal = model.task.normal_index
    alarmed, abnormal = model.predicted != normal, model.y != normal
    axes.plot(
        alarmed[~abnormal].mean(), alarmed[abnormal].mean(), "o", color=BLUE, markersize=7, markeredgecolor="white"
    )


def _reliability(axes: Axes, answers: Mapping[str, Answers]) -> None:
    model = answers["model"]
    rows = reliability(model)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    most = max((row["units"] for row in rows), default=1)
    axes.plot(
        [row["mean_predicted"] for row in rows], [row["observed_fraction"] for row in rows], color=BLUE, linewidth=1.2
    )
    axes.scatter(
        [row["mean_predicted"] for row in rows],
        [row["observed_fraction"] for row in rows],
        s=[20 + 130 * row["units"] / most for row in rows],
        color=BLUE,
        edgecolor="white",
        zorder=3,
    )
    two = len(model.task.classes) == 2
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("predicted probability of abnormal" if two else "highest predicted probability", fontsize=10)
    axes.set_ylabel("share that was abnormal" if two else "share where that class was true", fontsize=10)
