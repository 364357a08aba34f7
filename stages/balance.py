"""``python -m stages.balance <experiment>``: the training examples, and synthetic ones of rare classes."""

from __future__ import annotations

import sys

from auscult.core import params as parameters
from auscult.core.errors import ParameterError
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.training.balancing.plan import write_balanced


def main() -> None:
    """Balance the training part of one experiment."""
    params = parameters.load()
    if len(sys.argv) != 2:
        raise ParameterError(
            "name one experiment", next_step=f"python -m stages.balance {{{','.join(params.experiments)}}}"
        )
    name = sys.argv[1]
    print(write_balanced(Paths(params.dataset), name, params.experiment(name), params.balance))


if __name__ == "__main__":
    run(main)
