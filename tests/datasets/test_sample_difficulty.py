"""Difficulty of the sample: patients matter, audio is more informative than metadata, and no feature is trivial.

A quick classifier (extra trees on statistics of log-mel spectrograms of the breathing
cycles, as the pipeline sees them: at most 4 s, 50 to 1900 Hz) is scored as the pipeline
scores, (sensitivity + specificity) / 2 in percent, by four-fold cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from auscult.core.process import workers
from auscult.datasets.synthesis.population import DEVICES, Visit, plan
from auscult.datasets.synthesis.renderer import render

SEED, RATE_HZ, LONGEST_S = 2017, 4000, 4.0
Rows = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Cycles:
    """One row for every annotated cycle and for every recording of the default sample."""

    features: list[Rows] = field(default_factory=list)
    metadata: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    patients: list[int] = field(default_factory=list)
    recording: list[int] = field(default_factory=list)
    diseased: list[int] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)
    known: list[list[float]] = field(default_factory=list)


def statistics(audio: Rows, mel: Rows) -> Rows:
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, 128, mode="reflect"), 256)[::80]
    level = 10 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(256), axis=1)) ** 2 @ mel.T + 1e-12)
    change = np.diff(level, axis=0)
    centred = level - level.mean(0)
    spread = [level.std(0), np.abs(change).mean(0), change.std(0), np.percentile(change, 95, axis=0)]
    shape = [centred.max(0), (centred**3).mean(0) / level.std(0) ** 3]
    return np.concatenate([level.mean(0), *np.percentile(level, [10, 50, 90], axis=0), *spread, *shape])


def measure(visit: Visit, mel: Rows) -> tuple[list[Rows], list[list[float]], list[int]]:
    import soxr

    samples, cycles = render(visit, SEED)
    audio = soxr.resample(samples, visit.sample_rate_hz, RATE_HZ)
    pieces = [audio[int(c.start_s * RATE_HZ) : int(min(c.end_s, c.start_s + LONGEST_S) * RATE_HZ)] for c in cycles]
    trivial = [[float(c.end_s - c.start_s), float(20 * np.log10(p.std()))] for c, p in zip(cycles, pieces, strict=True)]
    labels = [int(c.crackles) + 2 * int(c.wheezes) for c in cycles]
    return [statistics(piece, mel) for piece in pieces], trivial, labels


@pytest.fixture(scope="module")
def cycles() -> Cycles:
    import librosa

    mel = librosa.filters.mel(sr=RATE_HZ, n_fft=256, n_mels=40, fmin=50, fmax=1900).astype(np.float64)
    visits = plan(60, SEED)
    with get_context("fork").Pool(min(workers(), 4)) as pool:
        measured = pool.map(partial(measure, mel=mel), visits, chunksize=8)
    places = sorted({visit.location for visit in visits})
    result = Cycles()
    for visit, (features, trivial, labels) in zip(visits, measured, strict=True):
        patient_ = visit.patient
        about = [
            DEVICES.index(visit.device),
            places.index(visit.location),
            patient_.age_years or 50.0,
            patient_.sex == "M",
        ]
        result.features += features
        result.metadata += [[*map(float, about), *values] for values in trivial]
        result.labels += labels
        result.patients += [patient_.number] * len(labels)
        result.recording += [len(result.recorded)] * len(labels)
        result.known.append([*map(float, about), visit.duration_s])
        result.diseased.append(int(patient_.diagnosis != "Healthy"))
        result.recorded.append(patient_.number)
    return result


def probabilities(rows: Any, labels: Any, patients: Any, *, apart: bool, seed: int = 0) -> Rows:
    """Class probabilities from four folds, shape (rows, classes); *apart* keeps the rows of a patient in one fold."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

    x, y, groups = np.array(rows), np.array(labels), np.array(patients)
    result = np.zeros((len(y), y.max() + 1))
    folds: GroupKFold = (StratifiedGroupKFold if apart else StratifiedKFold)(4, shuffle=True, random_state=seed)
    for train, test in folds.split(x, y, groups if apart else None):
        model = ExtraTreesClassifier(80, class_weight="balanced", min_samples_leaf=4, random_state=0)
        result[test] = model.fit(x[train], y[train]).predict_proba(x[test])
    return result


def score(rows: Any, labels: Any, patients: Any, *, apart: bool) -> float:
    """(Se + Sp)/2 in percent."""
    y = np.array(labels)
    right, normal = probabilities(rows, labels, patients, apart=apart).argmax(1) == y, y == 0
    return float(50 * (right[normal].mean() + right[~normal].mean()))


def area(rows: Any, recording: Any, cycles: Cycles) -> float:
    """Area under the ROC curve in percent of diseased against healthy recordings, patients apart.

    Few patients are healthy, so a threshold would be half the answer, and one draw of folds as well: the mean of two.
    """
    from sklearn.metrics import roc_auc_score

    owner, areas = np.array(recording), []
    diseased, patients = np.array(cycles.diseased), np.array(cycles.recorded)
    for seed in (0, 1):
        found = probabilities(rows, diseased[owner], patients[owner], apart=True, seed=seed)[:, 1]
        pooled = np.bincount(owner, found) / np.bincount(owner)
        areas.append(100 * roc_auc_score(diseased, pooled))
    return float(np.mean(areas))


def abnormal(cycles: Cycles) -> list[int]:
    return [int(label > 0) for label in cycles.labels]


def test_a_random_split_scores_higher_and_the_patient_split_is_neither_impossible_nor_easy(cycles: Cycles) -> None:
    # Device, location, age, sex and duration; the last column, loudness, is a feature of the audio.
    without_audio = [row[:5] for row in cycles.metadata]
    for labels, least in ((abnormal(cycles), 8.0), (cycles.labels, 8.0)):
        patient = score(cycles.features, labels, cycles.patients, apart=True)
        random = score(cycles.features, labels, cycles.patients, apart=False)
        baseline = max(score(without_audio, labels, cycles.patients, apart=True), 50.0)  # 50: a constant answer
        print(f"random {random:.1f}, patient {patient:.1f}, metadata only {baseline:.1f}")
        assert random >= patient + least
        assert baseline + 5 <= patient <= 95


def test_loudness_or_duration_alone_is_hardly_informative(cycles: Cycles) -> None:
    for column, name in ((4, "duration"), (5, "loudness")):
        rows = [[row[column]] for row in cycles.metadata]
        assert score(rows, abnormal(cycles), cycles.patients, apart=True) < 60, name


def test_audio_separates_healthy_and_diseased_better_than_metadata(cycles: Cycles) -> None:
    heard = area(cycles.features, cycles.recording, cycles)
    known = area(cycles.known, range(len(cycles.known)), cycles)
    print(f"recordings: audio {heard:.1f}, metadata only {known:.1f}")
    assert known <= 75
    assert known + 8 <= heard <= 97


def test_no_recording_is_padded_with_zeros_or_clipped() -> None:
    for visit in plan(60, SEED)[::20]:
        samples, _ = render(visit, SEED)
        assert np.abs(samples).max() < 0.95
        assert np.count_nonzero(samples == 0.0) == 0
