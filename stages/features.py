"""``python -m stages.features``: audio → arrays of segments and windows, for each representation that is used."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import keep_freed_memory, run, workers
from auscult.core.storage import replacing_folder


def main() -> None:
    """Write the arrays of every representation of an experiment; spectrograms in the cache are not computed again."""
    params = parameters.load()
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.features.extraction.build import write_features

    keep_freed_memory()
    paths = Paths(params.dataset)
    # The report shows log-mel spectrograms, whatever the experiments use.
    names = sorted({"logmel"} | {experiment.features for experiment in params.experiments.values()})
    with replacing_folder(paths.all_features) as folder:
        for name in names:
            write_features(paths, name, params.features, workers(), folder / name)


if __name__ == "__main__":
    run(main)
