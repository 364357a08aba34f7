"""``python -m stages.report``: write the report of a data set, as one page and in brief as markdown."""

from __future__ import annotations

import logging

from auscult.core import params
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import write_text

logger = logging.getLogger(__name__)


def main() -> None:
    """Read the outputs of all stages; write index.html and summary.md."""
    config = params.load()
    paths = Paths(config.dataset)
    # Imported here: a wrong parameter is refused before pandas is loaded.
    from auscult.reporting.report.page import collect, render
    from auscult.reporting.report.summary import markdown

    shown = {"examples": config.report.examples, "worst": config.report.worst}
    content = collect(paths, list(config.evaluated), combined=config.combinations, **shown)
    page, html = paths.reports / "index.html", render(content)
    write_text(page, html)
    write_text(paths.reports / "summary.md", markdown(content))
    logger.info("report: %d experiments, %s, %.1f MB", len(content["experiments"]), page, len(html) / 1e6)


if __name__ == "__main__":
    run(main)
