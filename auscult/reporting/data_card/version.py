"""A version of a data set in figures: what ``dvc metrics diff`` compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auscult.reporting.data_card.identity import content_sha256, split_sha256, version_name

if TYPE_CHECKING:
    import pandas as pd


def describe_version(
    manifest: Mapping[str, Any],
    recordings: pd.DataFrame,
    segments: pd.DataFrame,
    assignment: pd.DataFrame,
) -> dict[str, Any]:
    """Name, digests, licence and counts, flat.

    Few: each is a column of ``dvc metrics show``. Parts and labels are in the card, and in ``data diff``.

    Parameters
    ----------
    manifest
        The summary of the stage ``validate``.
    recordings, segments, assignment
        Columns as in :mod:`auscult.core.records`.
    """
    content = content_sha256(recordings, segments)
    return {
        "name": version_name(manifest["dataset"], content),
        "dataset": manifest["dataset"],
        "content_sha256": content,
        "split_sha256": split_sha256(assignment),
        "licence": manifest["licence"],
        **manifest["counts"],
        "additions": manifest["additions"]["batches"],
        "added_recordings": manifest["additions"]["recordings"],
    }
