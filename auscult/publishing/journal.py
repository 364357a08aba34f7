"""What a retraining is doing, on disk: so that one at a time runs, and the next one tidies up after a kill.

A kill may come at any moment. The journal is written before each step that leaves something behind, and
:func:`recover` either takes back what was begun or, once the branch with the evidence is where it was to
go, completes what was decided.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import read_json, write_json
from auscult.publishing.push import is_there
from auscult.registry.versions import WITHDRAWN, Registry
from auscult.versioning import worktree
from auscult.versioning.locks import end_orphans

FOLDER = CACHE_DIR / "flows"


@dataclass(frozen=True)
class Entry:
    """One retraining or ingestion in progress.

    Attributes
    ----------
    name
        Of the run.
    flow
        ``retrain`` or ``ingest``.
    flow_run_id
        As Prefect knows it, or empty.
    state
        ``working`` until everything is decided, then ``handing over``.
    branch, commit
        What is handed over.
    remote
        The git remote that it goes to; empty where the branch stays here.
    promotions
        ``experiment``, ``version`` and ``decision`` of each model that is to be put into service afterwards,
        and the ``champion`` that it was compared with (``None``: there was none).
    """

    name: str
    flow: str
    flow_run_id: str = ""
    state: Literal["working", "handing over"] = "working"
    place: str = ""
    branch: str = ""
    commit: str = ""
    remote: str = ""
    dataset: str = ""
    promotions: list[dict[str, Any]] = field(default_factory=list)


class InProgressError(AuscultError):
    """Another run of the flow holds its journal.

    Attributes
    ----------
    flow_run_id
        That run's, as Prefect knows it, or empty.
    """

    def __init__(self, flow: str, holder: Sequence[str], lock: Path) -> None:
        self.flow_run_id = holder[1] if len(holder) > 1 else ""
        super().__init__(
            f"another {flow} is in progress: {holder[0] if holder else 'unknown'}",
            where=str(lock),
            next_step="wait for it, then run the same command again",
        )


class Journal:
    """The journal of one flow in one repository; the holder of its lock writes it."""

    def __init__(self, root: Path, flow: str) -> None:
        self.root = root.resolve()
        self.flow = flow
        self._file = self.root / FOLDER / f"{flow}.json"
        self._lock = self.root / FOLDER / f"{flow}.lock"

    @contextmanager
    def held(self, name: str, flow_run_id: str = "") -> Iterator[None]:
        """Hold the lock; the kernel lets go of it when the process dies.

        Raises
        ------
        InProgressError
            Another run holds it; the message names that one.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise InProgressError(self.flow, file.read().splitlines(), self._lock) from error
            file.seek(0)
            file.truncate()
            file.write(f"{name}, process {os.getpid()}\n{flow_run_id}")
            file.flush()
            yield

    @contextmanager
    def running(self, name: str, flow_run_id: str, tell: Callable[[str], None]) -> Iterator[Entry]:
        """Hold the lock for a run, tidy up before it what a killed one left, and after it where it fails."""
        with self.held(name, flow_run_id):
            if done := self.recover():
                tell(done)
            try:
                yield Entry(name, self.flow, flow_run_id)
            except BaseException:
                with suppress(AuscultError):  # a remote that cannot be asked: the next start asks again
                    self.recover()
                raise

    def read(self) -> Entry | None:
        """What is in progress, or was when it was cut off."""
        if not self._file.exists():
            return None
        try:
            return Entry(**read_json(self._file))
        except (DataError, TypeError):
            return None

    def write(self, entry: Entry) -> Entry:
        """Note what is in progress."""
        write_json(self._file, asdict(entry))
        return entry

    def clear(self) -> None:
        """Nothing is in progress."""
        self._file.unlink(missing_ok=True)

    def recover(self) -> str | None:
        """Take back, or complete, what a run left that was cut off; the lock must be held.

        Returns
        -------
        str or None
            What was done, in words.
        """
        end_orphans()  # before anything is asked: a push of the dead run may still be on its way
        entry = self.read()
        if entry is None:
            self._sweep()
            return None
        if entry.state == "handing over" and self._arrived(entry):
            said = self.complete(entry)
            return "; ".join(
                [f"{entry.name} was cut off after its branch {entry.branch} was handed over: completed", *said]
            )
        self.take_back(entry)
        return f"{entry.name} was cut off before it had handed anything over: taken back"

    def _arrived(self, entry: Entry) -> bool:
        try:
            return is_there(self.root, entry.remote, entry.branch, entry.commit)
        except AuscultError as error:
            raise AuscultError(
                f"{entry.name} was cut off; whether its branch {entry.branch} arrived cannot be asked: {error.what}",
                where=str(self._file),
                next_step="run the same command when the remote answers; without that file the run is taken back",
            ) from error

    def complete(self, entry: Entry) -> list[str]:
        """Put into service what was decided, and end; returns in words what a person has overtaken meanwhile."""
        overtaken = []
        if entry.promotions:
            registry = Registry(self.root)
            for each in entry.promotions:
                if words := _overtaken(registry, entry.dataset, each):
                    overtaken.append(words)
                    continue
                version = registry.version(entry.dataset, each["experiment"], each["version"])
                registry.promote(entry.dataset, each["experiment"], version, each["decision"])
        if entry.place:
            worktree.remove(self.root, Path(entry.place))
        self.clear()
        return overtaken

    def take_back(self, entry: Entry) -> None:
        """Remove the worktree, and what was committed in it."""
        if entry.place:
            worktree.remove(self.root, Path(entry.place))
        self.clear()

    def _sweep(self) -> None:
        """Worktrees that no journal names: the kill came between the two."""
        for left in sorted((self.root / worktree.FOLDER).glob(f"{self.flow}-*")):
            worktree.remove(self.root, left)


def _overtaken(registry: Registry, dataset: str, promotion: Mapping[str, Any]) -> str:
    """Why a promotion that was decided no longer holds, if so: it was decided against another champion."""
    experiment, number = promotion["experiment"], promotion["version"]
    current = registry.champion(dataset, experiment)
    serves = current.number if current is not None else None
    if WITHDRAWN in registry.version(dataset, experiment, number).tags:
        return f"version {number} of {experiment} was withdrawn meanwhile and stays out of service"
    if serves not in (promotion["champion"], number):
        compared, now = (f"version {v}" if v else "no champion" for v in (promotion["champion"], serves))
        return f"version {number} of {experiment} was compared with {compared}, now serves {now}: it is left"
    return ""


def advanced(entry: Entry, **changes: Any) -> Entry:
    """The entry with some of its fields changed."""
    return replace(entry, **changes)
