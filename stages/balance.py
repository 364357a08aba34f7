"""``python -m stages.balance <experiment>``: training rows, and synthetic ones of rare classes."""

from __future__ import annotations

import sys

from auscult.core import params as parameters
from auscult.core.errors import ParameterError
from auscult.core.paths import Paths
from auscult.core.process import run


def main() -> None:
    """Balance the training part of one experiment."""
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.training.balancing.plan import write_balanced

    params = parameters.load()
    if len(sys.argv) != 2:
        raise ParameterError(
            "the name of one experiment is missing",
            next_step=f"python -m stages.balance {{{','.join(params.experiments)}}}",
        )
    name = sys.argv[1]
    write_balanced(Paths(params.dataset), name, params.experiment(name), params.balance)


if __name__ == "__main__":
    run(main)
