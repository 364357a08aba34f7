"""What makes two versions of a data set the same: digests of what its recordings say, and of who is in which part."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Digits of the content's digest in a version's name.
SHOWN = 8
#: Decimals that count: a time or an age that was written with more is no other recording.
DECIMALS = 6
#: What a recording says. Not where its file lies, how it is wrapped or which delivery it came with, and not the
#: publisher's split, which no addition has: the same recordings are the same content as a download and as an addition.
SAID_OF_RECORDINGS = ("recording_id", "patient_id", "audio_sha256", "label", "device", "location", "age_years", "sex")
SAID_OF_SEGMENTS = ("recording_id", "start_s", "end_s", "label")


def content_sha256(recordings: pd.DataFrame, segments: pd.DataFrame) -> str:
    """Digest of what accepted recordings and their segments say, whatever the order of the rows.

    Parameters
    ----------
    recordings, segments
        Of the manifest, columns as in :mod:`auscult.core.records`.

    Returns
    -------
    str
        SHA-256 in hex. The audio enters by ``audio_sha256``, which covers samples, rate and channels.
    """
    return _sha256([_columns(recordings, SAID_OF_RECORDINGS), _columns(segments, SAID_OF_SEGMENTS)])


def split_sha256(assignment: pd.DataFrame) -> str:
    """Digest of which recording stands in which part and fold."""
    return _sha256([_columns(assignment, ("recording_id", "part", "fold"))])


def version_name(dataset: str, content: str) -> str:
    """What a version is called: the data set, and the first digits of its content's digest."""
    return f"{dataset}-{content[:SHOWN]}"


def _columns(table: pd.DataFrame, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Column → values, rows in order of all of them; numbers as whole millionths, unknown as ``None``.

    Plain lists in JSON: no library's way to print a table can change a digest.
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
