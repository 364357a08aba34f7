"""Find the objects of DVC that only versions with a withdrawn patient use, and those that must be kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from auscult.core.errors import DataError
from auscult.core.paths import ADDED_DIR, CORRECTIONS_DIR, WITHDRAWN_DIR, Paths
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals import patient_lookup
from auscult.datasets import Dataset
from auscult.datasets.readers.copies import normal_path
from auscult.datasets.readers.delivery_tables import RECORDINGS, SEGMENTS, owners
from auscult.versioning.dvc_internals import ObjectStore
from auscult.versioning.dvc_objects import FOLDER, ObjectReader
from auscult.versioning.history import Entry, Out, Version
from auscult.versioning.lockfile import parse

#: Folders of outputs; additions, withdrawals and corrections lie in them, but no run makes those.
_OUTPUTS = ("data/", "models/", "reports/")
_NOT_OUTPUTS = (ADDED_DIR.as_posix(), WITHDRAWN_DIR.as_posix(), CORRECTIONS_DIR.as_posix())


#: Whether something holds one of the patients; ``None`` if it is unknown.
_Verdict = bool | None


@dataclass
class Partition:
    """Objects to purge and objects to keep.

    Attributes
    ----------
    keep
        Objects of versions without the patients, of other data sets, and of the workspace.
    purge
        Objects that only versions with the patients use: all that these record, except what is kept and other
        patients' recordings in the raw layout.
    recordings
        MD5 of the tables of recordings among what is kept.
    commits
        Commits whose data hold one of the patients, or may hold one.
    unknown
        How many of these commits only may hold one.
    aliases
        Names of the patients' recordings that do not identify the patient: of additions with tables.
    """

    keep: set[str] = field(default_factory=set)
    purge: set[str] = field(default_factory=set)
    recordings: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)
    unknown: int = 0
    aliases: frozenset[str] = frozenset()


def partition(
    reader: ObjectReader, versions: Sequence[Version], kept: Iterable[Version], dataset: Dataset, withdrawn: Withdrawals
) -> Partition:
    """Return which objects to purge and which to keep.

    Parameters
    ----------
    versions
        The versions in git's history.
    kept
        The workspace and the last outputs of other data sets: all of it is kept.

    Raises
    ------
    DataError
        The content of a folder of the workspace is unknown, so that it cannot be kept.
    """
    aliases = patient_lookup.aliases(reader, versions, dataset, withdrawn)
    partitioner = _Partitioner(Partition(aliases=aliases), reader, dataset, withdrawn)
    found = partitioner.result
    for version in kept:
        for entry in version.entries:
            partitioner.keep_all(entry.outs)
    for version in versions:
        verdict = _any_of(partitioner.assign(entry) for entry in version.entries)
        if verdict is not False:
            found.commits += version.commits
            found.unknown += len(version.commits) if verdict is None else 0
    found.purge -= found.keep
    return found


class _Partitioner:
    """Assign the outputs of one entry after another to what is kept and what is purged."""

    def __init__(self, result: Partition, reader: ObjectReader, dataset: Dataset, withdrawn: Withdrawals) -> None:
        self.result = result
        self._reader, self._dataset, self._withdrawn = reader, dataset, withdrawn
        self._paths = Paths(dataset.name)
        self._folders: dict[str, _Verdict] = {}  # versions share most of their folders

    def keep_all(self, outs: Iterable[Out]) -> None:
        """Keep outputs of which everything must be known."""
        for out in outs:
            if out.is_folder and self._reader.listing(out.md5) is None:
                raise DataError(
                    f"DVC's cache has no list of the files in {out.path}, which must be kept",
                    where=out.path,
                    next_step=f"dvc commit --force {out.path}, or dvc pull {out.path}; then the same command again",
                )
        self._keep(outs)

    def _keep(self, outs: Iterable[Out]) -> None:
        for out in outs:
            self.result.keep |= self._objects(out)
            if out.path.endswith("/manifest/recordings.parquet"):
                self.result.recordings.add(out.md5)

    def _objects(self, out: Out) -> set[str]:
        """Return the objects of an output, of a folder's files as well as far as its listing is available."""
        files = self._reader.listing(out.md5) if out.is_folder else None
        return {out.md5} | {md5 for _, md5 in files or ()}

    def assign(self, entry: Entry) -> _Verdict:
        """Assign what one stage or addition recorded; return the verdict."""
        own = [out for out in entry.outs if self._is_own(out.path)]
        self._keep(out for out in entry.outs if out not in own)
        if not own:
            return False
        raw, added = self._paths.raw.as_posix(), f"{self._paths.added}/"
        if folders := [out for out in own if out.path == raw or out.path.startswith(added)]:
            return _any_of([self._assign_folder(out) for out in folders])
        verdict = self._by_manifest(entry)
        if verdict is False:
            self._keep(own)
        else:
            self.result.purge.update(*(self._objects(out) for out in own))
        return verdict

    def _is_own(self, path: str) -> bool:
        """Return whether an output belongs to the data set."""
        paths = self._paths
        own = (paths.data, paths.added, paths.model("x").parent, paths.all_combined, paths.reports)
        return any(f"{path}/".startswith(f"{folder.as_posix()}/") for folder in own)

    def _by_manifest(self, entry: Entry) -> _Verdict:
        """Return the verdict from the tables of the manifest that a stage wrote or read."""
        tables = {out.path: out.md5 for out in (*entry.deps, *entry.outs)}
        recordings = tables.get(f"{self._paths.manifest}/recordings.parquet")
        rejects = tables.get(f"{self._paths.manifest}/rejects.parquet")
        patients = self._reader.column(recordings, "patient_id") if recordings is not None else None
        rejected = self._reader.column(rejects, "recording_id") if rejects is not None else frozenset[str]()
        named = {self._dataset.patient_of(name) for name in rejected or ()}
        if self._withdrawn.any_of(named.union(patients or ())) or not self.result.aliases.isdisjoint(rejected or ()):
            return True
        return None if patients is None or rejected is None else False

    def _assign_folder(self, out: Out) -> _Verdict:
        """Assign a folder in the raw layout: purge a withdrawn patient's files, and tables that name one."""
        if out.md5 not in self._folders:
            files = self._reader.listing(out.md5)
            judged = self._judged(files or [])
            verdict = _any_of([None if files is None else False, *(each for _, each in judged)])
            self._folders[out.md5] = verdict
            if verdict is False:
                self._keep([out])
            else:
                self.result.purge |= {out.md5, *(md5 for md5, each in judged if each is not False)}
        return self._folders[out.md5]

    def _judged(self, files: Sequence[tuple[str, str]]) -> list[tuple[str, _Verdict]]:
        """Return each file's object, and whether it is a withdrawn patient's, or a table with a row of one."""
        table = dict(files).get(RECORDINGS)
        if table is None:
            return [(md5, self._holds(place, md5)) for place, md5 in files]
        content = self._reader.read(table)
        if content is None:
            return [(md5, None) for _, md5 in files]
        patients = {normal_path(each.path): each.patient_id for each in owners(content)}
        some, tables = self._withdrawn.any_of(patients.values()), (RECORDINGS, SEGMENTS)
        return [
            (md5, some if place in tables else self._withdrawn.holds(patients.get(normal_path(place))))
            for place, md5 in files
        ]

    def _holds(self, place: str, md5: str) -> _Verdict:
        """Return whether a file of the raw layout is a withdrawn patient's, or a table with a row of one."""
        if not self._dataset.is_table(place):
            return self._withdrawn.holds(self._dataset.patient_of(place))
        if (content := self._reader.read(md5)) is None:
            return None
        return self._withdrawn.any_of(patient_lookup.patients_in_table(self._dataset, place, content))


def _any_of(verdicts: Iterable[_Verdict]) -> _Verdict:
    """Return True if one is, else ``None`` if one is unknown, else False."""
    found = set(verdicts)
    return True if True in found else None if None in found else False


def removal_order(md5s: Iterable[str], index: Sequence[set[str]]) -> Iterator[list[str]]:
    """Yield objects in the order of their removal, so that after a kill the next call still knows what to remove.

    Files come before folders, and the objects that tell whether a version holds a patient come last.

    Parameters
    ----------
    index
        What :func:`auscult.curation.withdrawals.patient_lookup.patient_index` returns.
    """
    rest, final = set(md5s), set().union(*index)
    yield sorted(md5 for md5 in rest - final if not md5.endswith(FOLDER))
    yield sorted(md5 for md5 in rest - final if md5.endswith(FOLDER))
    for some in index:
        yield sorted(rest & some)


def run_cache_entries(store: ObjectStore, purge: Collection[str], keep: Collection[str] | None = None) -> list[str]:
    """Return the paths of run cache entries that name an object to purge, or that are damaged.

    Parameters
    ----------
    keep
        If given, entries that name an object not in it are returned as well.
    """
    found = []
    for path, content in store.run_cache():
        named = _objects_of_run(content)
        if named is None or any(md5 in purge or (keep is not None and md5 not in keep) for md5 in named):
            found.append(path)
    return sorted(found)


def _objects_of_run(content: bytes | None) -> set[str] | None:
    """Return the objects that a run cache entry names: outputs, and dependencies that are another stage's outputs."""
    if content is None:
        return None
    with suppress(Exception):
        entry = parse(content)
        deps = [dep for dep in entry.get("deps") or () if str(dep["path"]).startswith(_OUTPUTS)]
        deps = [dep for dep in deps if not str(dep["path"]).startswith(_NOT_OUTPUTS)]
        outs = [out for out in entry.get("outs") or () if out.get("cache", True)]
        return {str(each["md5"]) for each in (*outs, *deps)}
    return None


def old_listings(cache: Path, keep: Collection[str] | None, mentions: Callable[[Path], bool]) -> tuple[Path, ...]:
    """Return listings of folders that DVC 3 has written in the layout of DVC 2, and never reads.

    It does so for outputs that ``dvc.lock`` does not have yet, as after a change of data set: without an entry it takes
    them for outputs of DVC 2. The files of such a listing are not stored in that layout.

    Parameters
    ----------
    keep
        Objects to keep, if the cache is the repository's own; ``None`` if it is shared.
    mentions
        Whether a listing names one of the patients' files.
    """
    found = []
    for path in sorted(cache.glob(f"[0-9a-f][0-9a-f]/*{FOLDER}")):
        own = keep is not None and f"{path.parent.name}{path.name}" not in keep
        if own or (keep is None and mentions(path) and _has_no_files(path)):
            found.append(path)
    return tuple(found)


def _has_no_files(listing: Path) -> bool:
    """Return whether none of the files of a listing is stored in the layout of DVC 2."""
    with suppress(Exception):
        md5s = [entry["md5"] for entry in json.loads(listing.read_bytes())]
        return not any((listing.parents[1] / md5[:2] / md5[2:]).exists() for md5 in md5s)
    return False
