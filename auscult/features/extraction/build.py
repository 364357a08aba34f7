"""Write ``data/<dataset>/features/<representation>``: log-mel spectrograms through the cache, cut into rows."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.audio.cache import ArrayCache, namespace
from auscult.audio.resampled import StoredAudio
from auscult.core.digests import digest
from auscult.core.paths import Paths
from auscult.core.records import ITEM_COLUMNS
from auscult.core.sections import FeaturesParams
from auscult.core.storage import ArrayWriter, read_table, write_json, write_table
from auscult.core.threads import Progress, in_order
from auscult.features.extraction.items import Cutter, Item, array_frames, windows
from auscult.features.extraction.spectrogram import LogMel, frame_count, without_mean
from auscult.features.representations import Representation, load

logger = logging.getLogger(__name__)

ORIGINAL = "original"
#: Modules and libraries that determine a spectrogram: part of the cache key.
_CODE = ("auscult.features.extraction.spectrogram",)
_LIBRARIES = ("numba", "numpy")


@dataclass(frozen=True)
class Job:
    """One recording, or one augmented copy of it, and the items to cut from it.

    Attributes
    ----------
    sha256
        Checksum of the recording's file.
    key, offset, length
        Of its resampled audio: key of the content, position and length in samples.
    kind
        ``original``, or one of the representation's copies.
    items
        Array (``segments``, ``windows``) → items.
    """

    recording_id: str
    patient_id: str
    sha256: str
    key: str
    offset: int
    length: int
    kind: str
    items: dict[str, list[Item]]


def write_features(paths: Paths, name: str, params: FeaturesParams, workers: int, folder: Path) -> None:
    """Write the arrays of segments and windows, a table beside each, and ``spec.json``.

    Memory holds two recordings per worker, whatever the size of the data set.

    Parameters
    ----------
    name
        Representation.
    folder
        Where to write; it is made.
    """
    representation = load(name)
    folder.mkdir()
    audio = StoredAudio(paths)
    jobs = list(_jobs(paths, audio, representation, params))
    rate = audio.spec.sample_rate_hz
    lengths = {"segments": params.segment_s, "windows": params.window_s}
    cutters = {
        array: Cutter(array_frames(length_s, rate, params.hop_length), params.hop_length / rate, params.padding)
        for array, length_s in lengths.items()
    }
    logmels = _LogMels(audio, representation, params)
    _write_rows(folder, jobs, cutters, logmels, representation, params, workers)
    spec = {
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
    write_json(folder / "spec.json", spec)
    originals = sum(job.kind == ORIGINAL for job in jobs)
    copies = f" and {len(jobs) - originals} augmented copies" if representation.copies else ""
    rows = ", ".join(f"{sum(len(job.items[array]) for job in jobs)} {array}" for array in cutters)
    logger.info("features %s: %d recordings%s, %d of them new; %s", name, originals, copies, logmels.new, rows)


def _jobs(paths: Paths, audio: StoredAudio, representation: Representation, params: FeaturesParams) -> Iterator[Job]:
    """Yield all originals in the order of recording_id, then the copies of those in the development part."""
    recordings = read_table(paths.manifest / "recordings.parquet").set_index("recording_id")
    segments: dict[str, list[Item]] = defaultdict(list)
    table = read_table(paths.manifest / "segments.parquet").sort_values(["recording_id", "start_s", "segment_id"])
    for row in table.itertuples():
        segments[row.recording_id].append(Item(row.segment_id, row.start_s, row.end_s))

    def job(row: Any, kind: str) -> Job:
        name = row.recording_id
        about = recordings.loc[name]
        covering = windows(name, row.length / audio.spec.sample_rate_hz, params.window_s, params.window_hop_s)
        return Job(
            recording_id=name,
            patient_id=about["patient_id"],
            sha256=about["sha256"],
            key=row.key,
            offset=row.offset,
            length=row.length,
            kind=kind,
            items={"segments": segments[name], "windows": covering},
        )

    for row in audio.index.itertuples():
        yield job(row, ORIGINAL)
    if representation.copies:
        split = read_table(paths.split / "assignment.parquet")
        training = set(split.loc[split["part"] == "development", "recording_id"])
        for row in audio.index.itertuples():
            if row.recording_id in training:
                for kind in representation.copies:
                    yield job(row, kind)


def _write_rows(
    folder: Path,
    jobs: list[Job],
    cutters: dict[str, Cutter],
    logmels: _LogMels,
    representation: Representation,
    params: FeaturesParams,
    workers: int,
) -> None:
    """Stream the rows of every job to the arrays, in the order of the jobs, and write the tables."""

    def rows_of(job: Job) -> dict[str, tuple[NDArray[np.float32], list[int]]]:
        spectrogram = representation.transform(without_mean(logmels.get(job), params.subtract), params)
        rate = 1.0 if job.kind == ORIGINAL else representation.rate(job.kind, job.recording_id, params)
        return {array: cutter.cut(spectrogram, job.items[array], rate) for array, cutter in cutters.items()}

    tables: dict[str, list[tuple[Any, ...]]] = {array: [] for array in cutters}
    progress = Progress("features", len(jobs))
    with ExitStack() as stack:
        writers = {}
        for array, cutter in cutters.items():
            shape = (sum(len(job.items[array]) for job in jobs), representation.bins(params), cutter.frames)
            writers[array] = stack.enter_context(ArrayWriter(folder / f"{array}.npy", shape))
        imports = ("auscult.audio.compiled", "scipy.signal") if representation.copies else ()  # copies are filtered
        for job, results in zip(jobs, in_order(rows_of, jobs, workers, imports=imports), strict=True):
            for array, (rows, valid) in results.items():
                writers[array].append(rows)
                tables[array] += [
                    (
                        item.item_id,
                        job.recording_id,
                        job.patient_id,
                        float(item.start_s),
                        float(item.end_s),
                        job.kind,
                        n,
                    )
                    for item, n in zip(job.items[array], valid, strict=True)
                ]
            progress.step()
    for array, table in tables.items():
        write_table(folder / f"{array}.parquet", pd.DataFrame(table, columns=list(ITEM_COLUMNS)), ITEM_COLUMNS)


class _LogMels:
    """Log-mel spectrograms of whole recordings, through the cache; safe in threads.

    Attributes
    ----------
    new
        Number of spectrograms that were computed; the others came from the cache.
    """

    def __init__(self, audio: StoredAudio, representation: Representation, params: FeaturesParams) -> None:
        self._audio, self._representation, self._params = audio, representation, params
        spec = audio.spec
        settings = (
            *(spec.sample_rate_hz, spec.low_hz, spec.high_hz),
            *(params.n_fft, params.window_length, params.hop_length, params.n_mels),
        )
        self._logmel = LogMel(*settings)
        self._originals = ArrayCache("logmel", namespace(settings, _CODE, _LIBRARIES))
        if representation.copies:
            making = [settings, spec.model_dump(), params.augmented.model_dump()]
            modules = (*_CODE, *representation.copy_modules)
            self._copies = ArrayCache("copies", namespace(making, modules, (*_LIBRARIES, "scipy", "soxr")))
        self._lock = threading.Lock()
        self.new = 0

    def get(self, job: Job) -> NDArray[np.float32]:
        """Return decibels, shape (n_mels, frames)."""
        original = job.kind == ORIGINAL
        cache = self._originals if original else self._copies
        part = job.key if original else digest(job.key, job.recording_id, job.kind)
        entry = cache.get(job.sha256, part)
        if entry is not None and self._fits(entry.array, job.length if original else None):
            return entry.array
        audio = self._audio.read(job.offset, job.length)
        if not original:
            audio = self._representation.copy(job.kind, job.recording_id, audio, self._params, self._audio.spec)
        with self._lock:
            self._logmel.prepare()  # raises on wrong parameters; computed once, not in every thread
            self.new += 1
        return cache.put(job.sha256, self._logmel(audio), part).array

    def _fits(self, array: NDArray[np.float32], samples: int | None) -> bool:
        """Return whether a cached array has the right shape; the length of a copy (*samples* ``None``) is free."""
        if array.ndim != 2 or array.shape[0] != self._params.n_mels or not array.shape[1]:
            return False
        return samples is None or array.shape[1] == frame_count(samples, self._params.n_fft, self._params.hop_length)
