"""Which tests share a worker: those of one file, and all of the pipeline's, whose one run they share."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for ``--dist loadgroup``; the longest group, the pipeline's, starts first."""
    for item in items:
        file = item.path.relative_to(TESTS).with_suffix("")
        group = "pipeline" if file.parts[0] == "pipeline" else "-".join(file.parts)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.parent.name != "pipeline")
