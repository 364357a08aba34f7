"""Identify and describe a version of a data set: digests of its content and its split, and its counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Digits of the content digest in a version's name.
SHOWN = 8
#: Decimals of times and ages that enter the digest.
DECIMALS = 6
#: Columns that enter the content digest. Path, file format, delivery and the publisher's split do not: a recording is
#: the same content whether it was downloaded or added.
RECORDING_CONTENT = ("recording_id", "patient_id", "audio_sha256", "label", "device", "location", "age_years", "sex")
SEGMENT_CONTENT = ("recording_id", "start_s", "end_s", "label")


def content_sha256(recordings: pd.DataFrame, segments: pd.DataFrame) -> str:
    """Return the digest of accepted recordings and their segments; the order of the rows does not matter.

    Parameters
    ----------
    recordings, segments
        Of the manifest, columns as in :mod:`auscult.core.records`.

    Returns
    -------
    str
        SHA-256 in hex. It covers the audio through ``audio_sha256``: samples, sample rate and channels.
    """
    return _sha256([_columns(recordings, RECORDING_CONTENT), _columns(segments, SEGMENT_CONTENT)])


def split_sha256(assignment: pd.DataFrame) -> str:
    """Return the digest of each recording's part and fold."""
    return _sha256([_columns(assignment, ("recording_id", "part", "fold"))])


def version_name(dataset: str, content: str) -> str:
    """Return the name of a version: the data set and the first digits of the content digest."""
    return f"{dataset}-{content[:SHOWN]}"


def describe_version(
    manifest: Mapping[str, Any],
    recordings: pd.DataFrame,
    segments: pd.DataFrame,
    assignment: pd.DataFrame,
) -> dict[str, Any]:
    """Return name, digests, licence and counts of a version, flat, for ``dvc metrics``.

    Each entry is a column of ``dvc metrics show``, so parts and labels are in the card and in ``auscult data diff``.

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


def _columns(table: pd.DataFrame, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return column → values: rows sorted by all columns, numbers in whole millionths, missing values as ``None``.

    The digest is that of plain JSON lists, so it does not depend on how a library writes tables.
    """
    plain = table[list(names)].copy()
    for name in names:
        column = plain[name]
        if column.dtype.kind == "f":
            column = (column * 10**DECIMALS).round().astype("Int64")
        plain[name] = column.astype(object).where(column.notna(), None)
    ordered = plain.sort_values(list(names), ignore_index=True, na_position="first")
    return {name: ordered[name].tolist() for name in names}


def _sha256(content: list[dict[str, list[Any]]]) -> str:
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()
