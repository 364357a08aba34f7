"""Which tests are marked as long, and in which order files start.

``make test`` gives whole files to workers (``--dist loadfile``): the tests of one file share what its fixtures made.
"""

from __future__ import annotations

import pytest

#: Marks by the beginning of a test's id. A file belongs here if it starts stages, DVC or MLflow, or takes over 10 s.
MARKS = {
    "tests/flows/test_flows.py": "flows",
    "tests/pipeline/": "pipeline",
    "tests/comparison/test_end_to_end.py": "pipeline",
    "tests/training/test_stage.py": "slow",
    "tests/registry/tracking/": "slow",
    "tests/registry/gate/test_judging.py": "slow",
    "tests/packaging/": "slow",
    "tests/benchmarks/": "slow",
    "tests/curation/": "slow",
    "tests/datasets/test_sample_difficulty.py": "slow",
    "tests/datasets/test_source.py": "slow",
    "tests/evaluation/test_stage.py": "slow",
    "tests/monitoring/test_monitor.py": "slow",
    "tests/pipeline_command/": "slow",
    "tests/publishing/": "slow",
    "tests/versioning/": "slow",
}
#: Files that start first, the longest before the others.
FIRST = ("tests/pipeline/test_kill.py", *MARKS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long tests, and start them first."""
    for item in items:
        for start, mark in MARKS.items():
            if item.nodeid.startswith(start):
                item.add_marker(mark)
    items.sort(key=lambda item: next((n for n, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST)))
