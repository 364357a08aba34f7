"""HTML templates of all pages, and the one Jinja environment that renders them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def template(name: str) -> Template:
    """Return the template with the file name *name*; it escapes values and raises on an undefined variable."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["begin"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(name)
