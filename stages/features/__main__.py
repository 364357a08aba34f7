"""``python -m stages.features <representation>``: audio → arrays of segments and windows."""

from __future__ import annotations

import sys

from stages import params as parameters
from stages.entry import keep_freed_memory, run, workers
from stages.errors import ParameterError
from stages.features import representations
from stages.features.build import write_features
from stages.paths import Paths


def main() -> None:
    """Compute what is not in the cache, and write the arrays of one representation."""
    if len(sys.argv) != 2:
        raise ParameterError(
            "name one representation", next_step=f"python -m stages.features {{{','.join(representations.names())}}}"
        )
    keep_freed_memory()
    params = parameters.load()
    print(write_features(Paths(params.dataset), sys.argv[1], params.features, workers()))


if __name__ == "__main__":
    run(main)
