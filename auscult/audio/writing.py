"""Write ``data/<dataset>/audio``: every recording of the manifest, through the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio import cache
from auscult.audio.resampling import condition, resampled_length
from auscult.core.errors import DataError
from auscult.core.paths import DATA_DIR, Paths
from auscult.core.records import AUDIO_COLUMNS
from auscult.core.sections import ResampleParams
from auscult.core.storage import ArrayWriter, read_table, replacing_folder, write_json, write_table
from auscult.core.threads import Progress, in_order

if TYPE_CHECKING:
    import pandas as pd

_CODE = ("auscult.audio.resampling", "auscult.audio.compiled", "auscult.audio.wav24")
_LIBRARIES = ("numba", "numpy", "scipy", "soundfile", "soxr")


@dataclass(frozen=True)
class _Source:
    """One recording to be resampled."""

    path: Path
    sha256: str
    length: int


@dataclass(frozen=True)
class _Done:
    entry: cache.Entry
    new: bool


def write_audio(paths: Paths, params: ResampleParams, workers: int) -> str:
    """Write audio.npy, index.parquet and spec.json; returns a line that says what was done.

    Memory holds two recordings per worker, whatever the size of the data set.

    Raises
    ------
    DataError
        The manifest is empty, or a file changed since it was made.
    """
    import pandas as pd

    manifest = read_table(paths.manifest / "recordings.parquet").sort_values("recording_id")
    if manifest.empty:
        raise DataError(
            f"no recording of data set {paths.dataset!r} is left after validation",
            where=str(paths.manifest / "rejects.parquet"),
            next_step=f"read {paths.manifest / 'validation.html'} for the reasons",
        )
    sources = _sources(manifest, params)
    store = cache.ArrayCache("audio", cache.namespace(params.model_dump(), _CODE, _LIBRARIES))
    keys: list[str] = []
    new = 0
    progress = Progress("resample", len(sources))
    with replacing_folder(paths.audio) as folder:
        with ArrayWriter(folder / "audio.npy", (sum(source.length for source in sources),)) as writer:
            for done in in_order(lambda source: _audio(source, params, store), sources, workers):
                writer.append(done.entry.array)
                keys.append(done.entry.key)
                new += done.new
                progress.step()
        lengths = [source.length for source in sources]
        offsets = [0, *pd.Series(lengths).cumsum().tolist()[:-1]]
        index = {"recording_id": manifest["recording_id"].tolist(), "key": keys, "offset": offsets, "length": lengths}
        write_table(folder / "index.parquet", pd.DataFrame(index), AUDIO_COLUMNS)
        write_json(folder / "spec.json", params.model_dump())
    minutes = sum(lengths) / params.sample_rate_hz / 60
    return f"resample: {len(sources)} recordings, {new} of them new, {minutes:.0f} min of audio"


def _sources(manifest: pd.DataFrame, params: ResampleParams) -> list[_Source]:
    return [
        _Source(
            path=DATA_DIR / row.path,
            sha256=row.sha256,
            length=resampled_length(
                round(row.duration_s * row.sample_rate_hz), row.sample_rate_hz, params.sample_rate_hz
            ),
        )
        for row in manifest.itertuples()
    ]


def _audio(source: _Source, params: ResampleParams, store: cache.ArrayCache) -> _Done:
    """The audio of one recording, from the cache or made now."""
    cached = store.get(source.sha256)
    if cached is not None and cached.array.shape == (source.length,):
        return _Done(cached, new=False)
    audio = condition(source.path, params)
    if audio.size != source.length:
        raise DataError(
            f"{source.path.name} has another length than the manifest says: {audio.size} samples at"
            f" {params.sample_rate_hz} Hz instead of {source.length}",
            where=str(source.path),
            next_step="the file changed after it was checked; run: dvc repro --force validate",
        )
    return _Done(store.put(source.sha256, audio), new=True)
