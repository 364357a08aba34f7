"""The resampled audio of a data set, ``data/<dataset>/audio``: written through the cache, read by ``features``.

``audio.npy`` contains the float32 samples of all recordings, concatenated; ``index.parquet`` their offsets and
lengths; ``spec.json`` the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.audio import cache
from auscult.audio.resampling import condition, resampled_length
from auscult.core.errors import DataError
from auscult.core.paths import DATA_DIR, Paths
from auscult.core.records import AUDIO_COLUMNS
from auscult.core.sections import ResampleParams
from auscult.core.storage import ArrayWriter, read_json, read_table, replacing_folder, write_json, write_table
from auscult.core.threads import Progress, in_order

#: Modules and libraries that determine the audio: part of the cache key.
_CODE = tuple(f"auscult.audio.{name}" for name in ("resampling", "compiled", "container", "reader"))
_LIBRARIES = ("numba", "numpy", "scipy", "soundfile", "soxr")
#: What the threads import.
_IMPORTS = ("auscult.audio.compiled", "scipy.signal")


class StoredAudio:
    """The resampled audio of one data set, read recording by recording.

    Attributes
    ----------
    spec
        The parameters it was made with.
    index
        ``recording_id``, ``key``, ``offset`` and ``length`` (samples), sorted by ``recording_id``.

    Notes
    -----
    The pages of a memory map would count as memory of the process, so the file is read instead.
    """

    def __init__(self, paths: Paths) -> None:
        self._path: Path = paths.audio / "audio.npy"
        self.spec = ResampleParams.model_validate(read_json(paths.audio / "spec.json"))
        self.index = read_table(paths.audio / "index.parquet")
        with self._path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if len(shape) != 1 or dtype != np.dtype("<f4"):
                raise ValueError(f"{self._path} is not an array of audio samples")
            self._start = file.tell()

    def read(self, offset: int, length: int) -> NDArray[np.float32]:
        """Return the samples from *offset* to *offset* + *length*, shape (length,); safe in threads."""
        return np.fromfile(self._path, dtype="<f4", count=int(length), offset=self._start + 4 * int(offset))


@dataclass(frozen=True)
class _Source:
    """A recording to resample, and its length in samples after resampling."""

    path: Path
    sha256: str
    length: int


def write_audio(paths: Paths, params: ResampleParams, workers: int) -> str:
    """Resample every recording of the manifest; write ``audio.npy``, ``index.parquet`` and ``spec.json``.

    Memory holds two recordings per worker, whatever the size of the data set.

    Returns
    -------
    str
        A message with the number of recordings.

    Raises
    ------
    DataError
        If the manifest is empty, or a file changed since it was validated.
    """
    manifest = read_table(paths.manifest / "recordings.parquet").sort_values("recording_id")
    if manifest.empty:
        raise DataError(
            f"validation rejected every recording of data set {paths.dataset!r}",
            where=str(paths.manifest / "rejects.parquet"),
            next_step=f"read the reasons in {paths.manifest / 'validation.html'}",
        )
    rate = params.sample_rate_hz
    sources = [
        _Source(
            path=DATA_DIR / row.path,
            sha256=row.sha256,
            length=resampled_length(round(row.duration_s * row.sample_rate_hz), row.sample_rate_hz, rate),
        )
        for row in manifest.itertuples()
    ]
    lengths = [source.length for source in sources]
    store = cache.ArrayCache("audio", cache.namespace(params.model_dump(), _CODE, _LIBRARIES))
    keys: list[str] = []
    computed = 0
    progress = Progress("resample", len(sources))
    with replacing_folder(paths.audio) as folder:
        with ArrayWriter(folder / "audio.npy", (sum(lengths),)) as writer:
            audios = in_order(lambda source: _audio(source, params, store), sources, workers, imports=_IMPORTS)
            for entry, new in audios:
                writer.append(entry.array)
                keys.append(entry.key)
                computed += new
                progress.step()
        offsets = [0, *np.cumsum(lengths).tolist()[:-1]]
        index = {"recording_id": manifest["recording_id"].tolist(), "key": keys, "offset": offsets, "length": lengths}
        write_table(folder / "index.parquet", pd.DataFrame(index), AUDIO_COLUMNS)
        write_json(folder / "spec.json", params.model_dump())
    return f"resample: {len(sources)} recordings, {computed} of them new, {sum(lengths) / rate / 60:.0f} min of audio"


def _audio(source: _Source, params: ResampleParams, store: cache.ArrayCache) -> tuple[cache.Entry, bool]:
    """Return the audio of one recording, and whether it was computed now."""
    cached = store.get(source.sha256)
    if cached is not None and cached.array.shape == (source.length,):
        return cached, False
    audio = condition(source.path, params)
    if audio.size != source.length:
        raise DataError(
            f"{source.path.name} has changed since it was validated: {audio.size} samples at"
            f" {params.sample_rate_hz} Hz instead of {source.length}",
            where=str(source.path),
            next_step="validate the recordings again: dvc repro --force validate",
        )
    return store.put(source.sha256, audio), True
