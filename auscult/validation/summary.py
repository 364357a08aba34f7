"""Counts of the manifest, which the validation page, the report and comparisons of versions read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from auscult.core.identifiers import look_alikes
from auscult.core.reject_reasons import ABSENT, REASONS
from auscult.core.tasks import Task
from auscult.datasets import Counts, Dataset
from auscult.validation.corrections import counts as counts_of
from auscult.validation.expectations import Outcome
from auscult.validation.manifest import Tables

logger = logging.getLogger(__name__)


def summarise(dataset: Dataset, tables: Tables, outcomes: Sequence[Outcome], withdrawn: int = 0) -> dict[str, Any]:
    """Return counts of everything, in a fixed order of keys, and log the notes.

    Parameters
    ----------
    withdrawn
        Number of patients who have withdrawn; no other count includes them.
    """
    recordings, segments, rejects = tables.recordings, tables.segments, tables.rejects
    notes = _notes(dataset, tables, withdrawn)
    for note in notes:
        logger.info("validate: note: %s", note)
    for group in look_alikes(recordings["patient_id"]):
        logger.warning("validate: patient ids that look alike: %s", ", ".join(map(repr, group)))
    reject_counts = Counter(rejects["reason"])
    counts = {
        "recordings": len(recordings),
        "patients": int(recordings["patient_id"].nunique()),
        "segments": len(segments),
        "hours": round(float(recordings["duration_s"].sum()) / 3600.0, 4),
        "set_aside": int(rejects["recording_id"].nunique()),
    }
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "citation": dataset.citation,
        "licence": dataset.licence,
        "homepage": dataset.homepage,
        "synthetic": dataset.generated,
        "limits": list(dataset.limits),
        "counts": counts,
        "additions": {"batches": tables.batches, "recordings": int(recordings["batch"].notna().sum())},
        "corrections": counts_of(tables.corrections),
        "notes": notes,
        "rejects": {
            reason: {"recordings": reject_counts[reason], "meaning": meaning}
            for reason, meaning in REASONS.items()
            if reject_counts[reason]
        },
        "labels": {"recordings": tally(recordings["label"]), "segments": tally(segments["label"])},
        "tasks": {task.name: class_counts(task, recordings, segments) for task in dataset.tasks},
        "devices": tally(recordings["device"]),
        "locations": tally(recordings["location"]),
        "sexes": tally(recordings["sex"]),
        "sample_rates_hz": tally(recordings["sample_rate_hz"]),
        "subtypes": tally(recordings["subtype"]),
        "published_parts": tally(recordings["published_part"]),
        "duration_s": _quantiles(recordings["duration_s"]),
        "age_years": _quantiles(recordings["age_years"]),
        "segment_s": _quantiles(segments["end_s"] - segments["start_s"]),
        "expectations": [
            {"table": o.table, "expectation": o.expectation, "passed": o.passed, "failing": len(o.failing)}
            for o in outcomes
        ],
    }


def tally(column: pd.Series) -> dict[str, int]:
    """Return value → count, most frequent first, then by name; NA counts as "unknown"."""
    counts = Counter(column.astype("string").fillna("unknown"))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def class_counts(task: Task, recordings: pd.DataFrame, segments: pd.DataFrame) -> dict[str, int]:
    """Return class → number of recordings or segments, in the order of the task's classes."""
    labels = (recordings if task.unit == "recording" else segments)["label"]
    found = Counter(task.class_index(label if isinstance(label, str) else None) for label in labels)
    return {name: found[index] for index, name in enumerate(task.classes)}


def _notes(dataset: Dataset, tables: Tables, withdrawn: int) -> list[str]:
    """Return facts that a reader should know and that are no fault of a row."""
    notes = [f"withdrawn patients, who are left out: {withdrawn}"] if withdrawn else []
    # The publisher's counts concern the data set as downloaded, without additions.
    mine = tables.recordings[tables.recordings["batch"].isna()]
    segments = int(tables.segments["recording_id"].isin(mine["recording_id"]).sum())
    found = Counts(len(mine), int(mine["patient_id"].nunique()), segments)
    named = tables.downloaded
    if dataset.expected is not None:  # a copy may be one of the parts that the publisher releases
        known = (dataset.expected, *dataset.expected_parts)
        expected = next((counts for counts in known if counts.recordings == named), dataset.expected)
        if named != expected.recordings:
            notes.append(f"this copy names {named} of {expected.recordings} recordings")
        elif found.recordings == named:
            for what in ("patients", "segments"):
                if getattr(found, what) != getattr(expected, what):
                    notes.append(f"{getattr(found, what)} {what} where the publisher counts {getattr(expected, what)}")
    words = ("labels corrected", "recordings left out by a correction", "segments left out by a correction")
    notes += [
        f"{what}: {count}" for what, count in zip(words, counts_of(tables.corrections).values(), strict=True) if count
    ]
    absent = int((tables.rejects["reason"] == ABSENT).sum())
    if absent:
        notes.append(f"{absent} recordings are named without an audio file: the copy is incomplete")
    if alike := len(look_alikes(tables.recordings["patient_id"])):
        notes.append(f"groups of patient ids that look alike, such as P10 and p10, and may be one patient's: {alike}")
    notes += [f"{what}: {count}" for what, count in sorted(tables.notes.items())]
    return notes


def _quantiles(column: pd.Series) -> dict[str, float]:
    values = column.dropna().astype(float)
    if values.empty:
        return {}
    names = ("min", "median", "max")
    return {name: round(float(values.quantile(q)), 4) for name, q in zip(names, (0.0, 0.5, 1.0), strict=True)}
