"""``promote`` and ``rollback`` as Prefect flows, so that they can also be started on its page."""

from __future__ import annotations

from prefect import flow, get_run_logger

from auscult.registry import promotion


@flow(name="promote")
def promote(experiment: str, because: str, version: str | None = None) -> None:
    """Put a model version (by default the challenger) into service by a person's decision."""
    get_run_logger().info(promotion.promote(experiment, version, because))


@flow(name="rollback")
def rollback(experiment: str, because: str) -> None:
    """Put the previous champion into service again."""
    get_run_logger().info(promotion.roll_back(experiment, because))
