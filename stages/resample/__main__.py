"""``python -m stages.resample``: raw recordings → one array of audio, mono, at one rate, in one band."""

from __future__ import annotations

from stages import params as parameters
from stages.entry import keep_freed_memory, run, workers
from stages.paths import Paths
from stages.resample.audio import write_audio


def main() -> None:
    """Resample every recording of the manifest that is not in the cache, and write the array."""
    keep_freed_memory()
    params = parameters.load()
    print(write_audio(Paths(params.dataset), params.resample, workers()))


if __name__ == "__main__":
    run(main)
