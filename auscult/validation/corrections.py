"""Apply the table of corrections to the manifest's tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from auscult.core.corrections import DROP, Correction, malformed
from auscult.core.paths import Paths
from auscult.core.records import CORRECTION_COLUMNS
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import reader
from auscult.validation.additions import batches
from auscult.validation.manifest import Tables


def apply(
    tables: Tables, corrections: Sequence[Correction], dataset: Dataset, left_out: Callable[[], Collection[str]]
) -> Tables:
    """Return the tables with corrected labels, without dropped recordings and segments.

    Segments keep their numbers where others of their recording are dropped.

    Parameters
    ----------
    left_out
        Returns the recordings of withdrawn patients, whose corrections are skipped; called if a line fits no other.

    Raises
    ------
    DataError
        A line fits no more: there is no such item, it has another label than the line says, or the data set has no such
        label. The message names the line.
    """
    path = Paths(dataset.name).corrections
    recordings = _labels(tables.recordings, "recording_id")
    segments = _labels(tables.segments, "segment_id")
    patients = dict(zip(tables.recordings["recording_id"], tables.recordings["patient_id"], strict=True))
    rejected, dropped, applied = set(tables.rejects["recording_id"]), set[str](), []
    for number, each in enumerate(corrections, start=2):
        is_recording = each.item in recordings or each.item not in segments
        labels = recordings if is_recording else segments
        if each.item not in labels or each.item in dropped or each.recording_id in dropped:
            if each.recording_id in left_out():
                continue
            state = "was dropped before" if {each.item, each.recording_id} & dropped else "does not exist"
            state = "was rejected" if each.recording_id in rejected else state
            raise malformed(path, number, f"corrects {each.item!r}, which {state}")
        if labels[each.item] != each.old:
            raise malformed(path, number, f"says that {each.item!r} is {each.old!r}; it is {labels[each.item]!r}")
        known = dataset.recording_labels if is_recording else dataset.segment_labels
        if each.new == DROP:
            dropped.add(each.item)
        elif each.new not in known:
            raise malformed(path, number, f"has the label {each.new!r}; there are: {', '.join(sorted(known))}, {DROP}")
        else:
            labels[each.item] = each.new
        applied.append((each.item, each.recording_id, patients[each.recording_id], each.old, each.new))
    kept = ~tables.recordings["recording_id"].isin(dropped)
    inside = ~(tables.segments["segment_id"].isin(dropped) | tables.segments["recording_id"].isin(dropped))
    table = pd.DataFrame(applied, columns=list(CORRECTION_COLUMNS)).astype("string")
    return replace(
        tables,
        recordings=_relabelled(tables.recordings, "recording_id", recordings)[kept].reset_index(drop=True),
        segments=_relabelled(tables.segments, "segment_id", segments)[inside].reset_index(drop=True),
        fingerprints=tables.fingerprints[~tables.fingerprints["recording_id"].isin(dropped)].reset_index(drop=True),
        corrections=table,
    )


def counts(corrections: pd.DataFrame) -> dict[str, int]:
    """Return how many labels were changed, and how many recordings and segments were dropped."""
    drops = corrections["new"] == DROP
    whole = corrections["item"] == corrections["recording_id"]
    return {
        "labels": int((~drops).sum()),
        "recordings_dropped": int((drops & whole).sum()),
        "segments_dropped": int((drops & ~whole).sum()),
    }


def of_withdrawn(dataset: Dataset, paths: Paths, withdrawn: Withdrawals) -> set[str]:
    """Return the recordings of withdrawn patients in the data set as downloaded and in its additions."""
    folders = [(dataset, paths.raw), *((reader(dataset, folder), folder) for folder in batches(paths.added))]
    named = (each for source, folder in folders for each in source.recordings(folder))
    return {each.recording_id for each in named if withdrawn.holds(each.patient_id)}


def _labels(table: pd.DataFrame, name: str) -> dict[str, str]:
    return dict(zip(table[name], table["label"].fillna(""), strict=True))


def _relabelled(table: pd.DataFrame, name: str, labels: dict[str, str]) -> pd.DataFrame:
    now: list[Any] = [labels[item] or None for item in table[name]]
    return table.assign(label=pd.Series(now, index=table.index, dtype=table["label"].dtype))
