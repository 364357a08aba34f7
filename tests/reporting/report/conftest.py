"""The small pipeline of the evaluation tests, with every experiment evaluated."""

from tests.evaluation.conftest import evaluated, evaluated_root, finished, pipeline

__all__ = ["evaluated", "evaluated_root", "finished", "pipeline"]
