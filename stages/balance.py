"""``python -m stages.balance <experiment>``: training rows, and synthetic ones of rare classes."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run


def main() -> None:
    """Balance the training part of the experiment named on the command line."""
    params, name = parameters.of_experiment("balance")
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.training.balancing.plan import write_balanced

    write_balanced(Paths(params.dataset), name, params.experiment(name), params.balance)


if __name__ == "__main__":
    run(main)
