"""From logits to probabilities, decisions, and the score by which training chooses on validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities over the last axis, of the same shape."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = exponential / exponential.sum(axis=-1, keepdims=True)
    return probabilities


def decide(probabilities: NDArray[np.floating], offsets: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return class indices, shape (n,): argmax of log p plus the offset of the class."""
    floor = np.finfo(np.float64).tiny
    return (np.log(np.maximum(probabilities, floor)) + offsets).argmax(axis=1).astype(np.int64)


def icbhi_score(y_true: NDArray[np.integer], y_predicted: NDArray[np.integer], normal_index: int) -> float:
    """Return the mean of sensitivity and specificity as the ICBHI 2017 challenge defines them.

    Parameters
    ----------
    y_true, y_predicted
        Class indices, shape (n,).
    normal_index
        The class that counts as normal; all others are abnormal.

    Returns
    -------
    float
        (Se + Sp) / 2 in 0…1: Sp = correct normal / normal, Se = exactly correct
        abnormal / abnormal. NaN if there is no normal or no abnormal item.

    References
    ----------
    Rocha et al., "An open access database for the evaluation of respiratory sound
    classification algorithms", Physiological Measurement 40 (2019), section 4.
    """
    y_true, y_predicted = np.asarray(y_true), np.asarray(y_predicted)
    normal = y_true == normal_index
    if normal.all() or not normal.any():
        return float("nan")
    right = y_true == y_predicted
    return float((right[normal].mean() + right[~normal].mean()) / 2)


def best_normal_offset(
    y_true: NDArray[np.integer], log_probabilities: NDArray[np.floating], normal_index: int
) -> tuple[float, float]:
    """Return the offset of the normal class that maximises the score, robustly, and that score.

    With rare classes argmax often predicts "normal" for all items and scores 0.5, whatever the network
    has learned; the score at the best threshold measures what it has learned. Every cut between two
    neighbouring items is tried. The curve of scores over cuts is averaged over about 4 % of the items
    before its maximum is taken, so that no single item decides; of equal maxima the middle one counts.

    Parameters
    ----------
    y_true
        Class indices, shape (n,).
    log_probabilities
        Shape (n, classes).
    normal_index
        The class that counts as normal.

    Returns
    -------
    offset
        Added to the normal class's log-probability before the argmax; 0 where the score is undefined.
    score
        The averaged score at the chosen cut, 0…1; NaN without normal or without abnormal items.
    """
    y_true = np.asarray(y_true)
    others = np.array(log_probabilities, dtype=np.float64)
    margin = others[:, normal_index].copy()
    others[:, normal_index] = -np.inf
    margin -= others.max(axis=1)  # above zero: predicted normal
    normal = y_true == normal_index
    if normal.all() or not normal.any():
        return 0.0, float("nan")
    order = np.argsort(margin, kind="stable")
    is_normal = normal[order]
    is_right = (~normal & (others.argmax(axis=1) == y_true))[order]
    # At cut i the items 0…i−1 are predicted abnormal, the others normal.
    below_right = np.concatenate([[0], np.cumsum(is_right)])
    below_normal = np.concatenate([[0], np.cumsum(is_normal)])
    scores = (below_right / (~normal).sum() + 1 - below_normal / normal.sum()) / 2
    scores = _smooth(scores, len(y_true) // 50)
    sorted_margin = margin[order]
    possible = np.flatnonzero(np.diff(sorted_margin) > 0) + 1  # no cut between equal margins
    cuts = np.concatenate([[0], possible, [len(order)]])
    best = np.flatnonzero(scores[cuts] >= scores[cuts].max() - 1e-12)
    cut = int(cuts[best[len(best) // 2]])
    low = sorted_margin[cut - 1] if cut > 0 else sorted_margin[0] - 1.0
    high = sorted_margin[cut] if cut < len(order) else sorted_margin[-1] + 1.0
    return float(-(low + high) / 2), float(scores[cut])


def _smooth(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the mean over a window of 2·reach + 1 values, narrower at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    # The window stays centred: near an end it shrinks on both sides.
    room = np.minimum(np.minimum(index, len(values) - 1 - index), reach)
    return (sums[index + room + 1] - sums[index - room]) / (2 * room + 1)
