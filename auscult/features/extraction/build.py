"""Write ``data/<dataset>/features/<representation>``: log-mel through the cache, then rows of items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.audio.resampled import StoredAudio
from auscult.core.paths import Paths
from auscult.core.records import ITEM_COLUMNS
from auscult.core.sections import FeaturesParams
from auscult.core.storage import ArrayWriter, read_table, replacing_folder, write_json, write_table
from auscult.core.threads import Progress, in_order
from auscult.features.extraction.items import Cutter, Item, array_frames, windows
from auscult.features.extraction.logmels import LogMels, Source
from auscult.features.representations import Representation, load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = tuple[NDArray[np.float32], list[int]]

ORIGINAL = "original"


@dataclass(frozen=True)
class Job:
    """One recording, or one augmented copy of it, and what is cut from it."""

    source: Source
    patient_id: str
    kind: str
    items: dict[str, list[Item]]


def write_features(paths: Paths, name: str, params: FeaturesParams, workers: int) -> str:
    """Write both arrays, their tables and spec.json; returns a line that says what was done.

    Memory holds two recordings per worker, whatever the size of the data set.
    """
    representation = load(name)
    audio = StoredAudio(paths)
    jobs = list(_jobs(paths, audio, representation, params))
    rate = audio.spec.sample_rate_hz
    lengths = {"segments": params.segment_s, "windows": params.window_s}
    cutters = {
        array: Cutter(array_frames(length_s, rate, params.hop_length), params.hop_length / rate, params.padding)
        for array, length_s in lengths.items()
    }
    logmels = LogMels(audio, representation, params)
    with replacing_folder(paths.features(name)) as folder:
        _write_rows(folder, jobs, cutters, logmels, representation, params, workers)
        write_json(folder / "spec.json", _spec(name, representation, audio, params, cutters))
    originals = sum(job.kind == ORIGINAL for job in jobs)
    copies = f" and {len(jobs) - originals} augmented copies" if representation.copies else ""
    rows = ", ".join(f"{sum(len(job.items[array]) for job in jobs)} {array}" for array in cutters)
    return f"features {name}: {originals} recordings{copies}, {logmels.new} of them new; {rows}"


def _jobs(paths: Paths, audio: StoredAudio, representation: Representation, params: FeaturesParams) -> Iterator[Job]:
    """All originals in the order of recording_id, then the copies of those in the training part."""
    recordings = read_table(paths.manifest / "recordings.parquet").set_index("recording_id")
    segments: dict[str, list[Item]] = defaultdict(list)
    table = read_table(paths.manifest / "segments.parquet").sort_values(["recording_id", "start_s", "segment_id"])
    for row in table.itertuples():
        segments[row.recording_id].append(Item(row.segment_id, row.start_s, row.end_s))
    originals = []
    for row in audio.index.itertuples():
        name = row.recording_id
        about = recordings.loc[name]
        duration_s = row.length / audio.spec.sample_rate_hz
        originals.append(
            Job(
                source=Source(name, about["sha256"], row.key, row.offset, row.length),
                patient_id=about["patient_id"],
                kind=ORIGINAL,
                items={
                    "segments": segments[name],
                    "windows": windows(name, duration_s, params.window_s, params.window_hop_s),
                },
            )
        )
    yield from originals
    if representation.copies:
        split = read_table(paths.split / "assignment.parquet")
        training = set(split.loc[split["part"] == "train", "recording_id"])
        for job in originals:
            if job.source.recording_id in training:
                for kind in representation.copies:
                    yield Job(job.source, job.patient_id, kind, job.items)


def _write_rows(
    folder: Path,
    jobs: list[Job],
    cutters: dict[str, Cutter],
    logmels: LogMels,
    representation: Representation,
    params: FeaturesParams,
    workers: int,
) -> None:
    """Stream the rows of every job to the arrays, in the order of the jobs, and write the tables."""
    import pandas as pd

    def rows_of(job: Job) -> dict[str, Rows]:
        spectrogram = representation.transform(logmels.get(job.source, job.kind), params)
        rate = representation.rate(job.kind, job.source.recording_id, params)
        return {array: cutter.cut(spectrogram, job.items[array], rate) for array, cutter in cutters.items()}

    tables: dict[str, dict[str, list[Any]]] = {array: {column: [] for column in ITEM_COLUMNS} for array in cutters}
    progress = Progress("features", len(jobs))
    with ExitStack() as stack:
        writers = {}
        for array, cutter in cutters.items():
            shape = (sum(len(job.items[array]) for job in jobs), representation.bins(params), cutter.frames)
            writers[array] = stack.enter_context(ArrayWriter(folder / f"{array}.npy", shape))
        for job, results in zip(jobs, in_order(rows_of, jobs, workers), strict=True):
            for array, (rows, valid) in results.items():
                writers[array].append(rows)
                _record(tables[array], job, array, valid)
            progress.step()
    for array, columns in tables.items():
        write_table(folder / f"{array}.parquet", pd.DataFrame(columns), ITEM_COLUMNS)


def _record(columns: dict[str, list[Any]], job: Job, array: str, valid: list[int]) -> None:
    for item, frames in zip(job.items[array], valid, strict=True):
        columns["item_id"].append(item.item_id)
        columns["recording_id"].append(job.source.recording_id)
        columns["patient_id"].append(job.patient_id)
        columns["start_s"].append(float(item.start_s))
        columns["end_s"].append(float(item.end_s))
        columns["copy"].append(job.kind)
        columns["frames"].append(frames)


def _spec(
    name: str,
    representation: Representation,
    audio: StoredAudio,
    params: FeaturesParams,
    cutters: dict[str, Cutter],
) -> dict[str, Any]:
    return {
        "representation": name,
        "bins": representation.bins(params),
        "padding": params.padding,
        "resample": audio.spec.model_dump(),
        "features": params.model_dump(exclude=None if representation.copies else {"augmented"}),
        "segments": {"frames": cutters["segments"].frames, "length_s": params.segment_s},
        "windows": {
            "frames": cutters["windows"].frames,
            "length_s": params.window_s,
            "hop_s": params.window_hop_s,
        },
    }
