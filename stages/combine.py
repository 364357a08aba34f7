"""``python -m stages.combine``: fit every combination of trained models on their out-of-fold predictions."""

from __future__ import annotations

import logging

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import replacing_folder

logger = logging.getLogger(__name__)


def main() -> None:
    """Write a folder per combination; the test part is never opened."""
    params = parameters.load()
    # NumPy and torch read the thread limits that run() sets when they are imported, so their users come after.
    from auscult.combination.fitting import KnownRows, combine

    paths, known = Paths(params.dataset), KnownRows()
    with replacing_folder(paths.all_combined) as folder:
        for name in params.combinations:
            score = combine(paths, folder, name, params, known)
            logger.info("combine: %s: out-of-fold score %.1f, %s", name, 100.0 * score, paths.all_combined / name)


if __name__ == "__main__":
    run(main)
