"""``python -m stages.balance``: synthetic training rows of rare classes, for every experiment and fold."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import replacing_folder


def main() -> None:
    """Write one table per experiment; without a method the tables are empty."""
    params = parameters.load()
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.training.balancing.plan import write_balanced

    paths = Paths(params.dataset)
    with replacing_folder(paths.all_balanced) as folder:
        for name, experiment in params.experiments.items():
            write_balanced(paths, name, experiment, params.balance, folder / f"{name}.parquet")


if __name__ == "__main__":
    run(main)
