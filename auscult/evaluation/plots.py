"""Confusion matrix, ROC and reliability curve, as tables for ``dvc plots`` and as PNG files.

The same predictions give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auscult.evaluation.metrics import BINS, Predictions, bins_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Matplotlib, pandas and scikit-learn are imported in the functions: the report and the comparison use the style alone.

INK, MUTED, GRID = "#1c2b33", "#5f6f78", "#d9e0e3"
BLUE, ORANGE, GREY = "#1f6f8b", "#b5591c", "#7c8a92"
DPI = 130
#: Lines of the ROC plot: label, colour and line style.
LINES = {
    "model": ("model", BLUE, "-"),
    "gradient_boosting": ("gradient boosting", ORANGE, "--"),
    "metadata_only": ("metadata only", GREY, ":"),
}


def roc(predictions: Predictions) -> pd.DataFrame:
    """Return the ROC curve of abnormal against normal: columns ``fpr``, ``tpr``, ``threshold``.

    Points on straight lines between others are left out. The table is empty when there is no normal or no abnormal
    unit. The first threshold lies above all scores.
    """
    import pandas as pd
    from sklearn.metrics import roc_curve

    positive = predictions.y != predictions.task.normal_index
    if positive.all() or not positive.any():
        return pd.DataFrame({"fpr": [], "tpr": [], "threshold": []}, dtype=np.float64)
    fpr, tpr, threshold = roc_curve(positive, predictions.abnormal, drop_intermediate=False)
    threshold[0] = threshold[1] + 1.0  # scikit-learn's infinity is not a number that every CSV reader knows
    # scikit-learn keeps the points between tied scores; in whole numbers the slopes compare exactly.
    up, right = np.diff(np.rint(tpr * positive.sum())), np.diff(np.rint(fpr * (~positive).sum()))
    corner = np.r_[True, right[:-1] * up[1:] != right[1:] * up[:-1], True]
    return pd.DataFrame({"fpr": fpr[corner], "tpr": tpr[corner], "threshold": threshold[corner]})


def reliability(predictions: Predictions) -> pd.DataFrame:
    """Return ``mean_predicted`` probability, ``observed_fraction`` and ``units`` of each bin that holds units."""
    import pandas as pd

    predicted, observed = predictions.confidence
    bins = bins_of(predicted)
    rows = [
        (predicted[bins == index].mean(), observed[bins == index].mean(), (bins == index).sum())
        for index in range(BINS)
        if (bins == index).any()
    ]
    return pd.DataFrame(rows, columns=["mean_predicted", "observed_fraction", "units"]).round(6)


def confusion(predictions: Predictions) -> pd.DataFrame:
    """Return ``actual`` and ``predicted`` class names of each unit, which ``dvc plots`` counts."""
    import pandas as pd

    names = np.array(predictions.task.classes, dtype=object)
    return pd.DataFrame({"actual": names[predictions.y], "predicted": names[predictions.predicted]})


def draw(folder: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write ``confusion.png``, ``roc.png`` and ``reliability.png`` into *folder*.

    Parameters
    ----------
    predictions
        Of ``model`` and of the baselines, on the test part.
    """
    from matplotlib.figure import Figure

    for name, plot in (("confusion", _confusion), ("roc", _roc), ("reliability", _reliability)):
        figure = Figure(figsize=(4.2, 3.8), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        style(axes, 9)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        plot(axes, predictions)
        # Without the version of Matplotlib in the file.
        figure.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})


def style(axes: Axes, label_size: int) -> None:
    """Hide the upper and right border, and use muted colours."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=label_size, color=MUTED)


def _confusion(axes: Axes, predictions: Mapping[str, Predictions]) -> None:
    from sklearn.metrics import confusion_matrix

    model = predictions["model"]
    names = model.task.classes
    counts = confusion_matrix(model.y, model.predicted, labels=range(len(names)))
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    axes.imshow(shares, cmap="GnBu", vmin=0, vmax=1.15)
    small = 9 if len(names) <= 4 else 7
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.0%}\n{counts[row, column]}" if totals[row, 0] else "–"
        color = "white" if share > 0.75 else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=small, color=color)
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) <= 3 else 35, ha="center", fontsize=small)
    axes.set_yticks(range(len(names)), names, fontsize=small)
    axes.set_xlabel("predicted", fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _roc(axes: Axes, predictions: Mapping[str, Predictions]) -> None:
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    for name, (label, colour, line) in LINES.items():
        curve = roc(predictions[name])
        if len(curve):
            width = 2 if name == "model" else 1.4
            axes.plot(curve["fpr"], curve["tpr"], color=colour, linestyle=line, linewidth=width, label=label)
    model = predictions["model"]
    predicted, abnormal = (classes != model.task.normal_index for classes in (model.predicted, model.y))
    if abnormal.all() or not abnormal.any():
        axes.text(0.5, 0.5, "undefined:\none class in the test part", ha="center", va="center", color=INK)
    else:
        axes.legend(loc="lower right", fontsize=9, frameon=False, labelcolor=INK)
        # The operating point at the class offsets that the model uses.
        point = predicted[~abnormal].mean(), predicted[abnormal].mean()
        axes.plot(*point, "o", color=BLUE, markersize=7, markeredgecolor="white")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("false-positive rate (normal predicted abnormal)", fontsize=10)
    axes.set_ylabel("true-positive rate (abnormal predicted abnormal)", fontsize=10)


def _reliability(axes: Axes, predictions: Mapping[str, Predictions]) -> None:
    model = predictions["model"]
    rows = reliability(model)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    axes.plot(rows["mean_predicted"], rows["observed_fraction"], color=BLUE, linewidth=1.2)
    axes.scatter(
        rows["mean_predicted"],
        rows["observed_fraction"],
        s=20 + 130 * rows["units"] / rows["units"].max(),
        color=BLUE,
        edgecolor="white",
        zorder=3,
    )
    two = len(model.task.classes) == 2
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("predicted probability of abnormal" if two else "highest predicted probability", fontsize=10)
    axes.set_ylabel("observed fraction abnormal" if two else "observed fraction correct", fontsize=10)
