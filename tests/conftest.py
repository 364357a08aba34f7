"""Which tests are marked as long, and in which order files start.

``make test`` gives whole files to workers (``--dist loadfile``): the tests of one file share what its fixtures made.
"""

from __future__ import annotations

import pytest

from auscult.core import instruction_set

# Before a test loads NumPy: what it computes here must equal what a stage computes in its own process.
instruction_set.pin()

#: Marks by the beginning of a test's id. A file belongs here if it starts stages, DVC or MLflow, or takes over 10 s;
#: a single test if it takes over 5 s. The one exception are the tests of leaks: they stay in every fast run.
MARKS = {
    "tests/flows/test_flows.py": "flows",
    "tests/pipeline/": "pipeline",
    "tests/comparison/test_end_to_end.py": "pipeline",
    "tests/training/test_stage.py": "slow",
    "tests/contract/test_instruction_set.py": "slow",
    "tests/contract/test_thread_limits.py": "slow",
    "tests/contract/test_imports_in_threads.py": "slow",
    "tests/features/test_build.py": "slow",
    "tests/comparison/test_differences.py::test_seed_variance_alone_is_rarely_called_a_difference": "slow",
    "tests/registry/gate/test_model_process.py": "slow",
    "tests/registry/gate/test_allowance.py::test_a_chain_of_cheaper_models_loses_one_margin_at_most": "slow",
    "tests/registry/gate/test_rule.py::test_another_seed_alone_is_promoted_as_rarely_as_promised": "slow",
    "tests/registry/gate/test_rule.py::test_noise_alone_promotes_at_most_5_of_100": "slow",
    "tests/registry/test_registry.py": "slow",
    "tests/retraining/test_allowance.py": "slow",
    "tests/reporting/report/test_page.py": "slow",
    "tests/reporting/data_card/": "slow",
    "tests/validation/test_additions.py": "slow",
    "tests/workflows/test_linters.py": "slow",
    "tests/audio/test_resampled.py::test_concurrent_runs_write_equal_outputs": "slow",
    "tests/registry/tracking/": "slow",
    "tests/cli/test_flow_commands.py": "slow",
    "tests/scheduling/test_crashed_runs.py": "slow",
    "tests/registry/gate/test_judging.py": "slow",
    "tests/packaging/": "slow",
    "tests/benchmarks/": "slow",
    "tests/curation/": "slow",
    "tests/datasets/test_sample_difficulty.py": "slow",
    "tests/datasets/test_source.py": "slow",
    "tests/evaluation/test_stage.py": "slow",
    "tests/monitoring/test_monitor.py": "slow",
    "tests/monitoring/test_drift.py::test_weeks": "slow",
    "tests/pipeline_command/": "slow",
    "tests/publishing/": "slow",
    "tests/comparison/test_report.py": "slow",
    "tests/datasets/test_retrieve.py": "slow",
    "tests/datasets/test_sample.py": "slow",
    "tests/registry/test_database.py": "slow",
    "tests/registry/test_restoring.py": "slow",
    "tests/training/test_loop.py": "slow",
    "tests/validation/test_validate.py": "slow",
    "tests/verification/test_verify.py": "slow",
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
