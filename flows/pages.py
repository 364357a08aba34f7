"""Templates of the flows' pages, in the style of the project's report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def template(path: Path) -> Template:
    """The template in a file; it may include ``style.html``, and escapes whatever it is given."""
    import jinja2

    import stages.report

    folders = [path.parent, Path(next(iter(stages.report.__path__)))]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)
