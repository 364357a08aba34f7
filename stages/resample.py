"""``python -m stages.resample``: raw recordings → one array of audio, mono, at one rate, in one band."""

from __future__ import annotations

from auscult.audio.writing import write_audio
from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import keep_freed_memory, run, workers


def main() -> None:
    """Resample every recording of the manifest that is not in the cache, and write the array."""
    keep_freed_memory()
    params = parameters.load()
    print(write_audio(Paths(params.dataset), params.resample, workers()))


if __name__ == "__main__":
    run(main)
