"""From which of DVC's objects it is read who is in a version: they go last, so that after a kill it is still known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from auscult.core.paths import Paths
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.history import Out, Version
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import RECORDINGS

if TYPE_CHECKING:
    from auscult.curation.withdrawals.objects import Store


def evidence(store: Store, versions: Iterable[Version], dataset: str) -> list[set[str]]:
    """The objects from which it is read whether a version holds somebody, in the order in which they may go.

    The tables of the manifests; then those of additions, which say whose a name among the rejects is; then the
    listings that say where those are.
    """
    outs = _outs(versions)
    paths = Paths(dataset)
    wanted = {f"{paths.manifest}/recordings.parquet", f"{paths.manifest}/rejects.parquet"}
    described = dict(_described(store, outs, dataset))
    return [{out.md5 for out in outs if out.path in wanted}, set(described.values()), set(described)]


def ordered(md5s: Iterable[str], last: Sequence[set[str]]) -> Iterator[list[str]]:
    """The order in which objects go, so that after a kill the next call still knows what has to: files before folders.

    Parameters
    ----------
    last
        What :func:`evidence` found.
    """
    rest, final = set(md5s), set().union(*last)
    yield sorted(md5 for md5 in rest - final if not md5.endswith(".dir"))
    yield sorted(md5 for md5 in rest - final if md5.endswith(".dir"))
    for some in last:
        yield sorted(rest & some)


def called(store: Store, versions: Iterable[Version], dataset: Dataset, withdrawn: Withdrawals) -> frozenset[str]:
    """Names of withdrawn patients' recordings, in any version, that do not tell whose they are: these came with tables.

    Parameters
    ----------
    versions
        Of the history.
    """
    outs, manifest = _outs(versions), Paths(dataset.name).manifest
    owners = [_in_manifest(store, out.md5) for out in outs if out.path == f"{manifest}/recordings.parquet"]
    owners += [_in_table(store.read(md5) or b"") for _, md5 in _described(store, outs, dataset.name)]
    found = {(name, patient) for each in owners for name, patient in each.items() if withdrawn.holds(patient)}
    return frozenset(name for name, patient in found if dataset.patient_of(name) != patient)


def everybody(store: Store, versions: Iterable[Version], dataset: Dataset) -> set[str]:
    """Patients whom any version has, as far as what tells it is to be had."""
    outs, paths = _outs(versions), Paths(dataset.name)
    found: set[str | None] = set()
    for out in outs:
        if out.path == f"{paths.manifest}/recordings.parquet":
            found |= store.column(out.md5, "patient_id") or frozenset()
        elif out.is_folder and (out.path == paths.raw.as_posix() or out.path.startswith(f"{paths.added}/")):
            found |= {dataset.patient_of(place) for place, _ in store.listing(out.md5) or ()}
    for _, md5 in _described(store, outs, dataset.name):
        found |= set(_in_table(store.read(md5) or b"").values())
    return {patient for patient in found if patient}


def _outs(versions: Iterable[Version]) -> set[Out]:
    return {out for version in versions for made in version.made for out in (*made.outs, *made.deps)}


def _described(store: Store, outs: Iterable[Out], dataset: str) -> Iterator[tuple[str, str]]:
    """(listing, table of recordings) of the additions that have one."""
    added = f"{Paths(dataset).added}/"
    for md5 in {out.md5 for out in outs if out.path.startswith(added) and out.is_folder}:
        if table := dict(store.listing(md5) or ()).get(RECORDINGS):
            yield md5, table


def _in_table(content: bytes) -> dict[str, str]:
    """Recording → patient, of the table of an addition."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8", errors="replace")))
    return {row["recording_id"]: row["patient_id"] for row in rows if row.get("recording_id") and row.get("patient_id")}


def _in_manifest(store: Store, md5: str) -> dict[str, str]:
    """Recording → patient; empty where the table is not to be had."""
    import pandas as pd

    with suppress(Exception):
        table = pd.read_parquet(io.BytesIO(store.read(md5) or b""), columns=["recording_id", "patient_id"])
        return dict(zip(table["recording_id"], table["patient_id"], strict=True))
    return {}
