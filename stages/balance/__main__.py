"""``python -m stages.balance <experiment>``: the training examples, and synthetic ones of rare classes."""

from __future__ import annotations

import sys

from stages import params as parameters
from stages.balance.plan import write_balanced
from stages.entry import run
from stages.errors import ParameterError
from stages.paths import Paths


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
