"""``python -m stages.features <representation>``: audio → arrays of segments and windows."""

from __future__ import annotations

import sys

from auscult.core import params as parameters
from auscult.core.errors import ParameterError
from auscult.core.paths import Paths
from auscult.core.process import keep_freed_memory, run, workers
from auscult.features import representations
from auscult.features.extraction.build import write_features


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
