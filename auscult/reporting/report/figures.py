"""Plots and sounds of the report as data URIs: examples, learning curves, the search.

The same input gives the same bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auscult.evaluation.plots import BLUE, DPI, GRID, INK, MUTED, ORANGE, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LABEL_SIZE = 8
SEARCH_AXES = ("filters", "units", "dropout", "learning_rate", "use_synthetic")


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as a data URI: ``data:image/png;base64,…``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def embedded(path: Path) -> str | None:
    """Return a PNG file as a data URI; None if the file does not exist."""
    return data_uri(path.read_bytes(), "image/png") if path.exists() else None


def _png(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, dpi=DPI, format="png", metadata={"Software": None})
    return data_uri(stream.getvalue(), "image/png")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def example(samples: NDArray[np.float32], mel: NDArray[np.float32] | None, audio: Mapping[str, Any]) -> str:
    """Return a plot of a waveform above its mel-spectrogram.

    Parameters
    ----------
    samples
        Shape (n,), at ``audio["sample_rate_hz"]``.
    mel
        Log-mel in dB, shape (bins, frames); None when that representation was not computed.
    audio
        The spec.json of the audio: sample rate and passband.
    """
    seconds = len(samples) / audio["sample_rate_hz"]
    figure = _figure(5.2, 3.2 if mel is not None else 1.4)
    rows = figure.subplots(
        2 if mel is not None else 1, 1, sharex=True, squeeze=False, height_ratios=[1, 2][: 2 if mel is not None else 1]
    )
    wave = rows[0, 0]
    style(wave, LABEL_SIZE)
    peak = float(np.abs(samples).max(initial=1e-9))
    wave.plot(np.arange(len(samples)) / audio["sample_rate_hz"], samples / peak, color=BLUE, linewidth=0.5)
    wave.set(xlim=(0, seconds), ylim=(-1.05, 1.05), yticks=[])
    wave.spines["left"].set_visible(False)
    if mel is None:
        wave.set_xlabel("s", fontsize=8)
        return _png(figure)
    image = rows[1, 0]
    style(image, LABEL_SIZE)
    low, high = np.percentile(mel, [10, 99.5])
    bins = mel.shape[0]
    image.imshow(
        mel,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=low,
        vmax=high,
        extent=(0, seconds, 0, bins),
        interpolation="nearest",
    )
    ticks = [hz for hz in (100, 200, 500, 1000, 2000, 4000) if audio["low_hz"] <= hz <= audio["high_hz"]]
    edges = mels(np.array([audio["low_hz"], audio["high_hz"]]))
    image.set_yticks((mels(np.array(ticks)) - edges[0]) / (edges[1] - edges[0]) * bins, [f"{hz}" for hz in ticks])
    image.set_ylabel("Hz", fontsize=8)
    image.set_xlabel("s", fontsize=8)
    return _png(figure)


def mels(hz: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Convert hertz to Slaney's mel scale, librosa's default: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, dtype=np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1e-9) / 1000) * 27 / np.log(6.4))


def wav(samples: NDArray[np.float32], sample_rate_hz: int) -> str:
    """Return samples as a 16-bit WAV in a data URI, with the peak at 0.9 of full scale."""
    import wave

    peak = float(np.abs(samples).max(initial=1e-9))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((samples / peak * 0.9 * 32767).round().astype("<i2").tobytes())
    return data_uri(stream.getvalue(), "audio/wav")


def learning_curves(history: pd.DataFrame) -> str:
    """Return a plot of loss and validation score per epoch, one line per held-out fold."""
    figure = _figure(5.2, 2.6)
    loss, score = figure.subplots(1, 2)
    for axes, title in ((loss, "loss"), (score, "validation score")):
        style(axes, LABEL_SIZE)
        axes.set_xlabel("epoch", fontsize=8)
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.xaxis.get_major_locator().set_params(integer=True)
    for index, (_, run) in enumerate(history.groupby("fold", sort=True)):
        first = index == 0
        loss.plot(run["epoch"], run["train_loss"], color=BLUE, linewidth=1.4, label="training" if first else None)
        loss.plot(
            run["epoch"],
            run["validation_loss"],
            color=ORANGE,
            linestyle="--",
            linewidth=1.4,
            label="validation" if first else None,
        )
        score.plot(run["epoch"], 100 * run["validation_score"], color=ORANGE, linewidth=1.4, marker="o", markersize=3)
    loss.legend(fontsize=8, frameon=False, labelcolor=INK)
    if history["validation_score"].isna().all():
        score.text(0.5, 0.5, "undefined:\none class in the folds", ha="center", va="center", fontsize=8, color=INK)
        score.set_axis_off()
    return _png(figure)


def search(trials: Sequence[Mapping[str, Any]], best: int) -> str | None:
    """Return a parallel-coordinates plot of the trials; None with fewer than two complete trials."""
    complete = [trial for trial in trials if trial.get("score") is not None and trial["state"] == "complete"]
    names = [name for name in SEARCH_AXES if all(name in trial["hyperparameters"] for trial in complete)]
    if len(complete) < 2 or not names:
        return None
    figure = _figure(5.2, 2.6)
    axes = figure.add_subplot()
    columns = [[float(trial["hyperparameters"][name]) for trial in complete] for name in names]
    columns.append([100 * trial["score"] for trial in complete])
    heights = np.stack(
        [_spread(column, log=name == "learning_rate") for column, name in zip(columns, [*names, ""], strict=True)]
    )
    for index, trial in enumerate(complete):
        chosen = trial["number"] == best
        axes.plot(
            heights[:, index],
            color=BLUE if chosen else GRID,
            linewidth=2.2 if chosen else 1.4,
            zorder=3 if chosen else 2,
        )
        axes.plot(heights[:, index], "o", color=BLUE if chosen else MUTED, markersize=4, zorder=4)
    for position, column in enumerate(columns):
        axes.axvline(position, color=GRID, linewidth=0.8, zorder=1)
        for value, height in (
            ((min(column), 0.0), (max(column), 1.0)) if min(column) < max(column) else ((column[0], 0.5),)
        ):
            name = [*names, "score"][position]
            text = ("yes" if value else "no") if name == "use_synthetic" else f"{value:.3g}"
            offset = 0.1 if height > 0 else -0.1
            axes.text(position, height + offset, text, ha="center", va="center", fontsize=8, color=INK)
    axes.set_xticks(range(len(columns)), [*(name.replace("_", " ").replace("use ", "") for name in names), "score"])
    axes.set(ylim=(-0.22, 1.22), yticks=[])
    style(axes, LABEL_SIZE)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    return _png(figure)


def _spread(values: Sequence[float], *, log: bool) -> NDArray[np.float64]:
    """Scale values to 0 … 1; 0.5 if all are equal."""
    column = np.log(values) if log else np.asarray(values, dtype=np.float64)
    low, high = column.min(), column.max()
    return np.full(len(column), 0.5) if high == low else (column - low) / (high - low)
