"""``python -m stages.resample``: decode all recordings to mono, resample and band-pass them, and write one array."""

from __future__ import annotations

import logging

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import keep_freed_memory, run, workers


def main() -> None:
    """Resample the recordings of the manifest; those in the cache are not computed again."""
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.audio.resampled import write_audio

    keep_freed_memory()
    params = parameters.load()
    logging.getLogger(__name__).info(write_audio(Paths(params.dataset), params.resample, workers()))


if __name__ == "__main__":
    run(main)
