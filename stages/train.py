"""``python -m stages.train <experiment>``: search, train and calibrate a model."""

from __future__ import annotations

import sys

from auscult.core import params as parameters
from auscult.core.errors import ParameterError
from auscult.core.paths import Paths
from auscult.core.process import run


def main() -> None:
    """Train the experiment named on the command line."""
    params = parameters.load()
    if len(sys.argv) != 2:
        raise ParameterError(
            "the name of one experiment is missing",
            next_step=f"python -m stages.train {{{','.join(params.experiments)}}}",
        )
    # NumPy and torch read the thread limits that run() sets when they are imported, so their users come after.
    from auscult.training.experiment import train_experiment

    name = sys.argv[1]
    train_experiment(Paths(params.dataset), name, params.experiment(name), params.train)


if __name__ == "__main__":
    run(main)
