"""``python -m stages.report``: the story of a data set in one page, and in brief as markdown."""

from __future__ import annotations

from auscult.core import params
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import write_text


def main() -> None:
    """Read what all stages wrote; write index.html and summary.md."""
    config = params.load()
    paths = Paths(config.dataset)
    from auscult.reporting.report.page import render, story
    from auscult.reporting.report.summary import markdown

    content = story(paths, list(config.experiments), examples=config.report.examples, worst=config.report.worst)
    page = render(content)
    write_text(paths.reports / "index.html", page)
    write_text(paths.reports / "summary.md", markdown(content))
    print(
        f"report: {len(content['experiments'])} experiments, {paths.reports / 'index.html'}, {len(page) / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    run(main)
