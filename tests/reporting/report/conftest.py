"""The little pipeline of the evaluation's tests, with every experiment evaluated."""

from tests.evaluation.conftest import evaluated, evaluated_root, finished, world

__all__ = ["evaluated", "evaluated_root", "finished", "world"]
