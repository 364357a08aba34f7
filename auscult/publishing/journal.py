"""The journal of a retraining or ingestion: one run at a time, and recovery after a kill.

A kill may come at any moment. The journal is written before each step that leaves something behind.
:func:`Journal.recover` undoes an interrupted run, or completes it if its branch was published already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from auscult.core.errors import AuscultError, DataError
from auscult.core.locks import hold
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import read_json, write_json
from auscult.publishing.push import is_published
from auscult.registry.versions import ROLLED_BACK, Registry, Version
from auscult.versioning import worktree
from auscult.versioning.locks import end_orphans

FOLDER = CACHE_DIR / "flows"


@dataclass(frozen=True)
class Entry:
    """One retraining or ingestion in progress."""

    name: str
    #: ``retrain`` or ``ingest``.
    flow: str
    #: Prefect's id of the run, or empty.
    flow_run_id: str = ""
    #: ``working`` until everything is decided, then ``publishing``.
    state: Literal["working", "publishing"] = "working"
    #: Folder in which the run works.
    worktree: str = ""
    #: What is published.
    branch: str = ""
    commit: str = ""
    #: The git remote to publish to; empty if the branch stays in this repository.
    remote: str = ""
    dataset: str = ""
    #: ``experiment``, ``version`` and ``decision`` of each model to promote after the branch is published, and the
    #: ``champion`` that it was compared with (``None`` if there was none).
    promotions: list[dict[str, Any]] = field(default_factory=list)


class InProgressError(AuscultError):
    """Another run of the flow holds the journal's lock; ``flow_run_id`` is Prefect's id of it, or empty."""

    def __init__(self, flow: str, holder: str, *, lock: Path) -> None:
        name, _, self.flow_run_id = holder.partition("\n")
        super().__init__(
            f"another {flow} is in progress: {name or 'unknown'}",
            where=str(lock),
            next_step="wait for it, then run the same command again",
        )


class Journal:
    """The journal of one flow in one repository. Only the holder of its lock writes it."""

    def __init__(self, root: Path, flow: str) -> None:
        self.root = root.resolve()
        self.flow = flow
        self._file = self.root / FOLDER / f"{flow}.json"
        self._lock = self.root / FOLDER / f"{flow}.lock"

    @contextmanager
    def held(self, name: str, flow_run_id: str = "") -> Iterator[None]:
        """Hold the lock; the kernel releases it when the process dies.

        Raises
        ------
        InProgressError
            Another run holds it; the message names that run.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        busy = partial(InProgressError, self.flow, lock=self._lock)
        with hold(self._lock, busy=busy, holder=f"{name}, process {os.getpid()}\n{flow_run_id}"):
            yield

    @contextmanager
    def running(self, name: str, flow_run_id: str, log: Callable[[str], None]) -> Iterator[Entry]:
        """Hold the lock for a run; recover before it from a killed run, and after it if it fails."""
        with self.held(name, flow_run_id):
            if done := self.recover():
                log(done)
            try:
                yield Entry(name, self.flow, flow_run_id)
            except BaseException:
                with suppress(AuscultError):  # the remote does not respond: the next start recovers
                    self.recover()
                raise

    def read(self) -> Entry | None:
        """Return the run in progress or interrupted; ``None`` if the file is missing or damaged."""
        try:
            return Entry(**read_json(self._file))
        except (DataError, TypeError):
            return None

    def write(self, entry: Entry) -> Entry:
        """Record the run in progress."""
        write_json(self._file, asdict(entry))
        return entry

    def recover(self) -> str | None:
        """Undo or complete an interrupted run, with the lock held; return what was done, ``None`` for nothing."""
        end_orphans()  # first: a push of the dead run may still be in progress
        entry = self.read()
        if entry is None:
            # A kill between making the worktree and writing the journal leaves a worktree that no journal names.
            for left in sorted((self.root / worktree.FOLDER).glob(f"{self.flow}-*")):
                worktree.remove(self.root, left)
            return None
        if entry.state == "publishing" and self._is_published(entry):
            done = f"{entry.name} was interrupted after its branch {entry.branch} was published: completed"
            return "; ".join([done, *self.complete(entry)])
        self.close(entry)
        return f"{entry.name} was interrupted before anything was published: undone"

    def _is_published(self, entry: Entry) -> bool:
        try:
            return is_published(self.root, entry.remote, entry.branch, entry.commit)
        except AuscultError as error:
            raise AuscultError(
                f"{entry.name} was interrupted; its branch {entry.branch} may be published: {error.what}",
                where=str(self._file),
                next_step="run the same command when the remote responds; without that file the run is undone",
            ) from error

    def complete(self, entry: Entry) -> list[str]:
        """Promote what was decided and end the run; return a line per promotion that no longer applies."""
        skipped = []
        for each in entry.promotions:
            registry = Registry(self.root)
            version = registry.version(entry.dataset, each["experiment"], each["version"])
            if reason := _outdated(registry, entry.dataset, each, version):
                skipped.append(reason)
            else:
                registry.promote(entry.dataset, each["experiment"], version, each["decision"])
        self.close(entry)
        return skipped

    def close(self, entry: Entry) -> None:
        """Remove the worktree and the journal entry; unpublished commits are lost."""
        if entry.worktree:
            worktree.remove(self.root, Path(entry.worktree))
        self._file.unlink(missing_ok=True)


def _outdated(registry: Registry, dataset: str, promotion: Mapping[str, Any], version: Version) -> str:
    """Return why a promotion no longer applies: the champion has changed since the decision. Empty if it applies."""
    experiment, number = promotion["experiment"], version.number
    champion = registry.champion(dataset, experiment)
    current = champion.number if champion is not None else None
    if ROLLED_BACK in version.tags:
        return f"version {number} of {experiment} was rolled back meanwhile and stays out of service"
    if current not in (promotion["champion"], number):
        compared, now = (f"version {v}" if v else "no champion" for v in (promotion["champion"], current))
        return f"version {number} of {experiment} was compared with {compared}, but {now} serves now: not promoted"
    return ""
