"""``python -m stages.features <representation>``: audio → arrays of segments and windows."""

from __future__ import annotations

import sys

from auscult.core import params as parameters
from auscult.core.errors import ParameterError
from auscult.core.paths import Paths
from auscult.core.process import keep_freed_memory, run, workers


def main() -> None:
    """Write the arrays of one representation; spectrograms in the cache are not computed again."""
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.features import representations
    from auscult.features.extraction.build import write_features

    if len(sys.argv) != 2:
        known = ",".join(representations.names())
        raise ParameterError(
            "the name of a representation is missing", next_step=f"python -m stages.features {{{known}}}"
        )
    keep_freed_memory()
    params = parameters.load()
    write_features(Paths(params.dataset), sys.argv[1], params.features, workers())


if __name__ == "__main__":
    run(main)
