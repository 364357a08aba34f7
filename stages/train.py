"""``python -m stages.train <experiment>``: search, train and calibrate a model."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run


def main() -> None:
    """Train the experiment named on the command line."""
    params, name = parameters.of_experiment("train")
    # NumPy and torch read the thread limits that run() sets when they are imported, so their users come after.
    from auscult.training.experiment import train_experiment

    train_experiment(Paths(params.dataset), name, params)


if __name__ == "__main__":
    run(main)
