"""DVC's objects: which versions hold a withdrawn patient, what only those use, and what is to stay."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.history import Made, Out, Version
from auscult.curation.withdrawals.patient_index import called
from auscult.curation.withdrawals.patient_lookup import in_table
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import RECORDINGS, SEGMENTS, owners

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB


class Store:
    """Objects by their MD5, from DVC's cache or, where it lacks one, from a remote; small ones only are read."""

    def __init__(self, cache: HashFileDB, remotes: Iterable[HashFileDB]) -> None:
        self._places = [cache, *remotes]
        self._listings: dict[str, list[tuple[str, str]] | None] = {}
        self._patients: dict[str, frozenset[str] | None] = {}
        #: Folder → whether it holds a patient: versions share most of theirs.
        self.verdicts: dict[str, bool | None] = {}

    def read(self, md5: str) -> bytes | None:
        """An object's content; ``None`` where nobody here has it."""
        for place in self._places:
            with suppress(Exception):  # missing, or whatever this kind of remote raises when it cannot be reached
                with place.fs.open(place.oid_to_path(md5), "rb") as file:
                    content: bytes = file.read()
                return content
        return None

    def listing(self, md5: str) -> list[tuple[str, str]] | None:
        """(place in the folder, MD5) of a folder's files; ``None`` where its object is not to be had."""
        if md5 not in self._listings:
            content = self.read(md5)
            entries = json.loads(content) if content is not None else None
            self._listings[md5] = [(e["relpath"], e["md5"]) for e in entries] if entries is not None else None
        return self._listings[md5]

    def column(self, md5: str, column: str) -> frozenset[str] | None:
        """The different values in a column of a table; ``None`` where its object is not to be had, or is no table."""
        if (key := f"{md5}/{column}") not in self._patients:
            import pandas as pd

            self._patients[key] = None
            content = self.read(md5)
            if content is not None:
                with suppress(Exception):
                    table = pd.read_parquet(io.BytesIO(content), columns=[column])
                    self._patients[key] = frozenset(str(value) for value in table[column].dropna().unique())
        return self._patients[key]

    def all_files(self, outs: Iterable[Out]) -> set[str]:
        """Every object of these outputs, those in folders as well, as far as it is known what is in them."""
        found = {out.md5 for out in outs}
        for out in outs:
            found |= {md5 for _, md5 in self.listing(out.md5) or ()} if out.is_folder else set()
        return found


@dataclass
class Sorted:
    """What the versions that git knows use.

    Attributes
    ----------
    keep
        Objects of versions that are free of the patients, of other data sets, of the present workspace.
    gone
        Objects that only versions with the patients use: what these name, less what is kept, and less other
        patients' recordings as they were brought.
    recordings
        MD5 of the tables of recordings among what is kept.
    holding
        Commits whose data hold one of the patients, or of which this cannot be known.
    unknown
        How many of these commits are of the second kind.
    called
        Names of the patients' recordings that do not tell whose they are: of additions with tables.
    """

    keep: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    recordings: set[str] = field(default_factory=set)
    holding: list[str] = field(default_factory=list)
    unknown: int = 0
    called: frozenset[str] = frozenset()


def sort(
    store: Store, versions: Iterable[Version], kept: Iterable[Version], dataset: Dataset, withdrawn: Withdrawals
) -> Sorted:
    """Tell what goes from what stays.

    Parameters
    ----------
    versions
        Of the history.
    kept
        The workspace, and what is kept of other data sets: all of it stays.

    Raises
    ------
    DataError
        What is in a folder of the workspace cannot be known, so that it cannot be kept.
    """
    versions = list(versions)
    result = Sorted(called=called(store, versions, dataset, withdrawn))
    for version in kept:
        for made in version.made:
            _check_listed(store, made.outs)
            _keep(result, store, made.outs)
    for version in versions:
        verdicts = [_sort_made(result, store, made, dataset, withdrawn) for made in version.made]
        if any(verdict is not False for verdict in verdicts):
            result.holding += version.commits
            result.unknown += len(version.commits) if True not in verdicts else 0
    result.gone -= result.keep
    return result


def _check_listed(store: Store, outs: Iterable[Out]) -> None:
    for out in outs:
        if out.is_folder and store.listing(out.md5) is None:
            raise DataError(
                f"DVC's cache does not know what is in {out.path}, which is to stay",
                where=out.path,
                next_step=f"dvc commit --force {out.path}, or dvc pull {out.path}; then the same command again",
            )


def is_of(path: str, dataset: str) -> bool:
    """Whether an output belongs to a data set."""
    paths = Paths(dataset)
    own = (paths.data, paths.added, paths.model("x").parent, paths.reports)
    return any(path.startswith(f"{folder.as_posix()}/") for folder in own)


def _keep(result: Sorted, store: Store, outs: Iterable[Out]) -> None:
    outs = list(outs)
    result.keep |= store.all_files(outs)
    result.recordings |= {out.md5 for out in outs if out.path.endswith("/manifest/recordings.parquet")}


def _sort_made(result: Sorted, store: Store, made: Made, dataset: Dataset, withdrawn: Withdrawals) -> bool | None:
    """Sort what one stage or addition recorded; True, False or unknown (``None``): whether it holds a patient."""
    mine = [out for out in made.outs if is_of(out.path, dataset.name)]
    _keep(result, store, [out for out in made.outs if out not in mine])
    if not mine:
        return False
    paths = Paths(dataset.name)
    folders = [out for out in mine if out.path == paths.raw.as_posix() or out.path.startswith(f"{paths.added}/")]
    if folders:
        verdicts = {_sort_folder(result, store, out, dataset, withdrawn) for out in folders}
        return True if True in verdicts else None if None in verdicts else False
    verdict = _verdict(store, made, dataset, withdrawn, result.called)
    if verdict is False:
        _keep(result, store, mine)
    else:
        result.gone |= store.all_files(mine)
    return verdict


def _verdict(store: Store, made: Made, dataset: Dataset, withdrawn: Withdrawals, called: frozenset[str]) -> bool | None:
    """From the tables of the manifest that a stage wrote or read."""
    manifest = Paths(dataset.name).manifest.as_posix()
    tables = {out.path: out.md5 for out in (*made.deps, *made.outs)}
    recordings = tables.get(f"{manifest}/recordings.parquet")
    rejects = tables.get(f"{manifest}/rejects.parquet")
    patients = store.column(recordings, "patient_id") if recordings is not None else None
    set_aside = store.column(rejects, "recording_id") if rejects is not None else frozenset[str]()
    if withdrawn.any_of(patients or ()) or withdrawn.any_of({dataset.patient_of(name) for name in set_aside or ()}):
        return True
    if not called.isdisjoint(set_aside or ()):
        return True
    return None if patients is None or set_aside is None else False


def _sort_folder(result: Sorted, store: Store, out: Out, dataset: Dataset, withdrawn: Withdrawals) -> bool | None:
    """Sort a folder in the raw layout: of one that holds a patient their files go, and tables with a line of theirs."""
    verdict = _folder_holds(store, out, dataset, withdrawn)
    if verdict is False:
        _keep(result, store, [out])
        return False
    result.gone.add(out.md5)
    judged = _judged(store, store.listing(out.md5) or (), dataset, withdrawn)
    result.gone |= {md5 for md5, theirs in judged if theirs is not False}
    return verdict


def _folder_holds(store: Store, out: Out, dataset: Dataset, withdrawn: Withdrawals) -> bool | None:
    if out.md5 not in store.verdicts:
        files = store.listing(out.md5)
        found = {theirs for _, theirs in _judged(store, files or [], dataset, withdrawn)}
        store.verdicts[out.md5] = True if True in found else None if None in found or files is None else False
    return store.verdicts[out.md5]


def _judged(
    store: Store, files: Sequence[tuple[str, str]], dataset: Dataset, withdrawn: Withdrawals
) -> list[tuple[str, bool | None]]:
    """Object of each file of a folder, and whether it is a withdrawn patient's, or a table with a line of one."""
    described = dict(files).get(RECORDINGS)
    if described is None:
        return [(md5, _names(store, place, md5, dataset, withdrawn)) for place, md5 in files]
    content = store.read(described)
    if content is None:
        return [(md5, None) for _, md5 in files]
    whose = owners(content)
    some = withdrawn.any_of(whose.values())
    return [
        (md5, withdrawn.holds(whose[place]) if place in whose else some and place in (RECORDINGS, SEGMENTS))
        for place, md5 in files
    ]


def _names(store: Store, place: str, md5: str, dataset: Dataset, withdrawn: Withdrawals) -> bool | None:
    """Whether a file of the raw layout is of a withdrawn patient, or a table with a line of one."""
    if not dataset.is_table(place):
        return withdrawn.holds(dataset.patient_of(place))
    content = store.read(md5)
    return None if content is None else withdrawn.any_of(in_table(dataset, place, content))


def in_cache(cache: HashFileDB) -> set[str]:
    """Every object in DVC's cache."""
    with suppress(FileNotFoundError):
        return set(cache.all())
    return set()


def remove(place: HashFileDB, md5s: Iterable[str]) -> int:
    """Remove objects that are there; returns how many there were."""
    paths = [path for path in map(place.oid_to_path, md5s) if place.fs.exists(path)]
    if paths:
        place.fs.remove(paths)
    return len(paths)
