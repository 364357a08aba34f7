"""Search folders for a patient: the bytes of every file, and the content of every table, array and archive."""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile


@dataclass(frozen=True)
class Traces:
    """What identifies a patient in a file.

    Attributes
    ----------
    patient
        The id.
    files
        SHA-256 of the recordings' files.
    decoded
        A stretch of the decoded samples of each, as float32 at the recording's own rate, and as it was resampled.
    weights
        SHA-256 of the weights of models that learned from the patient.
    """

    patient: str
    files: frozenset[str]
    decoded: tuple[bytes, ...]
    weights: frozenset[str]

    @property
    def name(self) -> re.Pattern[bytes]:
        """Match the beginning of the names of the patient's recordings."""
        return re.compile(rb"(?<![0-9A-Za-z])" + self.patient.encode() + rb"_\d+b\d+_")


def found(folders: Collection[Path], traces: Traces, without: Collection[str] = ()) -> list[str]:
    """Return each file that identifies the patient, with the reason; folders of these names are skipped."""
    said = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not set(path.relative_to(folder).parts) & set(without):
                said += [f"{path}: {reason}" for reason in reasons(path.read_bytes(), traces, path)]
            if traces.name.search(path.name.encode()):
                said.append(f"{path}: its name")
    return said


def reasons(content: bytes, traces: Traces, path: Path) -> Iterator[str]:
    """Return why some content identifies the patient."""
    digest = hashlib.sha256(content).hexdigest()
    if digest in traces.files or any(sha in path.name for sha in traces.files):
        yield "a recording's file, or named after it"
    if digest in traces.weights:
        yield "weights that learned from the patient"
    if traces.name.search(content):
        yield "names a recording"
    if any(sha.encode() in content for sha in traces.files | traces.weights):
        yield "names a checksum"
    if any(piece in content for piece in traces.decoded):
        yield "holds the sound"
    if content[:4] == b"PAR1":
        table = pd.read_parquet(io.BytesIO(content))
        words = {str(value) for name in table.select_dtypes(["object", "string"]) for value in table[name].dropna()}
        if any(word == traces.patient or traces.name.match(word.encode()) for word in words):
            yield "a row of a table"
        if words & (traces.files | traces.weights):
            yield "a checksum in a table"
    if content[:15] == b"SQLite format 3":
        yield from _in_database(path, traces)
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from reasons(archive.read(name), traces, Path(name))
    if content[:4] in (b"RIFF", b"fLaC"):
        yield from _in_audio(content, traces)


def _in_database(path: Path, traces: Traces) -> Iterator[str]:
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in connection.execute(f'select * from "{table}"'):
                if traces.name.search(repr(row).encode()) or any(sha in repr(row) for sha in traces.files):
                    yield f"a row of {table}"


def _in_audio(content: bytes, traces: Traces) -> Iterator[str]:
    try:
        sound, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    except soundfile.LibsndfileError:
        return
    if any(piece in np.ascontiguousarray(sound).tobytes() for piece in traces.decoded):
        yield "holds the sound, decoded"
