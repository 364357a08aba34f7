"""Read SPRSound's annotation files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from auscult.core.records import Segment
from auscult.datasets import AnnotationError, AnnotationMissingError


def read_events(path: Path) -> list[Segment]:
    """Return the events of a recording in the order of the file; begin and end are in ms, as text or numbers.

    Raises
    ------
    AnnotationError
        If the file is not JSON, or an event is malformed.
    """
    events = _load(path).get("event_annotation")
    if not isinstance(events, list):
        raise AnnotationError(f"{path.name}: there is no list event_annotation")
    return [_event(path, number, event) for number, event in enumerate(events, start=1)]


def _event(path: Path, number: int, event: Any) -> Segment:
    where = f"{path.name}, event {number}"
    if not isinstance(event, dict) or not {"start", "end", "type"} <= event.keys():
        raise AnnotationError(f"{where}: start, end and type are needed, not {json.dumps(event)[:120]}")
    if not isinstance(event["type"], str):
        raise AnnotationError(f"{where}: type must be text, not {event['type']!r}")
    return Segment(_seconds(where, event["start"]), _seconds(where, event["end"]), event["type"])


def _seconds(where: str, value: Any) -> float:
    try:
        milliseconds = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):  # an integer of hundreds of digits
        milliseconds = math.nan
    if isinstance(value, bool) or not math.isfinite(milliseconds):
        raise AnnotationError(f"{where}: {repr(value)[:80]} is no time in milliseconds")
    return milliseconds / 1000.0


def read_record_label(path: Path) -> str | None:
    """Return the label of the whole recording, ``None`` if the file has none."""
    try:
        label = _load(path).get("record_annotation")
    except AnnotationError:
        return None  # segments() reports the error
    return label if isinstance(label, str) else None


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise AnnotationMissingError(f"there is no annotation file {path.name}") from error
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path.name}, line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or too large a number or depth
        raise AnnotationError(f"{path.name}: {error}") from error
    if not isinstance(data, dict):
        raise AnnotationError(f"{path.name}, line 1: an object is needed, not {type(data).__name__}")
    return data
