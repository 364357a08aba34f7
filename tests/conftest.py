"""Which tests share a worker: those of one file, and those of a folder whose fixtures take long to make."""

from __future__ import annotations

from typing import Any

import pytest

#: The longest files start first; what needs the pipeline's one run comes after the one that makes it.
LONGEST = (
    "tests/pipeline/test_kill.py",
    "tests/flows/test_flows.py",
    "tests/comparison/test_end_to_end.py",
    "tests/training/test_stage.py",
    "tests/pipeline/test_datasets.py",
    "tests/registry/tracking/",
    "tests/pipeline/",
)
#: Folders whose files share what their fixtures made.
SHARED = ("tests/curation/additions/",)


def group(nodeid: str) -> str:
    """The tests that run one after another in one process, and so share what their fixtures made."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in SHARED if file.startswith(folder)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups first."""
    items.sort(
        key=lambda item: next((n for n, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST))
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole groups. (The mark ``xdist_group`` has no effect with pytest 9.2 and pytest-xdist 3.8.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return ByGroup(config, log)
