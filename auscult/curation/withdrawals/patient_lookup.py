"""Find which patients a folder, a table, a text or a version in DVC's storage holds."""

from __future__ import annotations

import html
import io
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd

from auscult.core.errors import DataError
from auscult.core.identifiers import normal
from auscult.core.paths import Paths
from auscult.core.records import Recording
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import RECORDINGS, TablesLayout, owners
from auscult.datasets.retrieval import withdrawn_files
from auscult.versioning.dvc_objects import ObjectReader
from auscult.versioning.history import Out, Version

#: The characters of a recording's name, up to the longest name that a data set can have.
_NAMES = re.compile(rb"[\w.]{4,120}")


def patients_in_folder(dataset: Dataset, folder: Path) -> set[str]:
    """Return the patients of a folder in the raw layout, or of an addition with tables."""
    table = folder / RECORDINGS
    if not table.is_file():
        return withdrawn_files.patients(dataset, folder)
    return {each.patient_id for each in owners(table.read_bytes())}


def patients_in_deliveries(dataset: Dataset, folder: Path) -> dict[Path, set[str]]:
    """Return folder → patients for everything below a folder that a person has filled."""
    found: dict[Path, set[str]] = {}
    for path in folder.rglob("*"):
        if patient := dataset.patient_of(path.name):
            found.setdefault(path.parent, set()).add(patient)
        if path.name == RECORDINGS:
            with suppress(DataError, OSError):  # nothing of a table that cannot be read was ever added
                described = TablesLayout(dataset).recordings(path.parent)
                found.setdefault(path.parent, set()).update(each.patient_id for each in described)
    return found


def patients_in_table(dataset: Dataset, place: str, content: bytes) -> set[str]:
    """Return the patients who have a row in a table of the raw layout."""
    return {patient for _, patient in withdrawn_files.lines_of(dataset, place, content) if patient}


def mentions(dataset: Dataset, content: bytes, withdrawn: Withdrawals, aliases: Collection[str] = ()) -> bool:
    """Return whether a text, or the bytes of a database, contains the name of a withdrawn patient's recording.

    Parameters
    ----------
    aliases
        What :func:`aliases` returns.
    """
    names = {name.decode(errors="ignore").strip("._") for name in set(_NAMES.findall(content)) if name[:1].isalnum()}
    if withdrawn.any_of({dataset.patient_of(name) for name in names}):
        return True
    written = {form.encode() for name in aliases for form in _forms(name)}
    return any(re.search(rb"(?<!\w)" + re.escape(form) + rb"(?!\w)", content) for form in written if form in content)


def _forms(name: str) -> Iterator[str]:
    """Yield a name as files and texts may hold it: composed or decomposed, as HTML, or as JSON in ASCII."""
    for form in (name, unicodedata.normalize("NFD", name)):
        yield from (form, html.escape(form), json.dumps(form)[1:-1])


def file_mentions(dataset: Dataset, path: Path, withdrawn: Withdrawals, aliases: Collection[str] = ()) -> bool:
    """Return whether a file's name or content :func:`mentions` a withdrawn patient; if unreadable, by its name only."""
    content = path.name.encode(errors="ignore")
    with suppress(OSError):
        content += b"\n" + path.read_bytes()
    return mentions(dataset, content, withdrawn, aliases)


def aliases(
    reader: ObjectReader, versions: Iterable[Version], dataset: Dataset, withdrawn: Withdrawals
) -> frozenset[str]:
    """Return the names of withdrawn patients' recordings, in any version, from which the patient cannot be told.

    Such recordings came with an addition with tables.
    """
    outs, manifest = _outs(versions), Paths(dataset.name).manifest
    known = [_owners_in_manifest(reader, out.md5) for out in outs if out.path == f"{manifest}/recordings.parquet"]
    known += [owners(reader.read(md5) or b"") for _, md5 in _addition_tables(reader, outs, dataset.name)]
    found = {each for listed in known for each in listed if withdrawn.holds(each.patient_id)}
    return frozenset(each.recording_id for each in found if dataset.patient_of(each.recording_id) != each.patient_id)


def patients_in_versions(reader: ObjectReader, versions: Iterable[Version], dataset: Dataset) -> set[str]:
    """Return the patients of all versions, as far as the objects that name them are available."""
    outs, paths = _outs(versions), Paths(dataset.name)
    found: set[str | None] = set()
    for out in outs:
        if out.path == f"{paths.manifest}/recordings.parquet":
            found |= reader.column(out.md5, "patient_id") or frozenset()
        elif out.is_folder and (out.path == paths.raw.as_posix() or out.path.startswith(f"{paths.added}/")):
            found |= {dataset.patient_of(place) for place, _ in reader.listing(out.md5) or ()}
    for _, md5 in _addition_tables(reader, outs, dataset.name):
        found |= {each.patient_id for each in owners(reader.read(md5) or b"")}
    return {normal(patient) for patient in found if patient}


def patient_index(reader: ObjectReader, versions: Iterable[Version], dataset: str) -> list[set[str]]:
    """Return the objects that tell whether a version holds a patient, in the order in which they may be removed.

    First the tables of the manifests; then those of additions, which give the patient of a rejected recording; then
    the listings that give the place of those tables.
    """
    outs, paths = _outs(versions), Paths(dataset)
    wanted = {f"{paths.manifest}/recordings.parquet", f"{paths.manifest}/rejects.parquet"}
    tables = dict(_addition_tables(reader, outs, dataset))
    return [{out.md5 for out in outs if out.path in wanted}, set(tables.values()), set(tables)]


def _outs(versions: Iterable[Version]) -> set[Out]:
    return {out for version in versions for entry in version.entries for out in (*entry.outs, *entry.deps)}


def _addition_tables(reader: ObjectReader, outs: Iterable[Out], dataset: str) -> Iterator[tuple[str, str]]:
    """Yield (listing, table of recordings) of the additions that have a table."""
    added = f"{Paths(dataset).added}/"
    for md5 in {out.md5 for out in outs if out.path.startswith(added) and out.is_folder}:
        if table := dict(reader.listing(md5) or ()).get(RECORDINGS):
            yield md5, table


def _owners_in_manifest(reader: ObjectReader, md5: str) -> list[Recording]:
    """Return id and patient of each recording of a manifest's table; none if the table is unavailable."""
    with suppress(Exception):
        table = pd.read_parquet(io.BytesIO(reader.read(md5) or b""), columns=["recording_id", "patient_id"])
        return [Recording(name, patient, "") for name, patient in table.itertuples(index=False)]
    return []
