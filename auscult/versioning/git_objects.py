"""Read many objects of a git repository through one ``git cat-file`` process."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.versioning.commands import environment


class GitObjects:
    """Reader of a repository's objects; use it as a context manager."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process = subprocess.Popen(
            ["git", "cat-file", "--batch"], cwd=root, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> GitObjects:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # git has ended: it could not fetch an object of a partial clone
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def read(self, name: str) -> bytes:
        """Return an object's content by its hash or as ``<commit>:<path>``; empty if it does not exist.

        Objects beyond the end of a shallow clone do not exist.
        """
        return self._read(name) or b""

    def read_known(self, name: str) -> bytes:
        """Return the content of an object that another object names.

        Raises
        ------
        AuscultError
            It is not here, as in a partial clone whose remote does not answer, or in a damaged repository.
        """
        content = None
        with suppress(BrokenPipeError):
            content = self._read(name)
        if content is None:
            raise AuscultError(
                f"git cannot read its object {name}",
                where=str(self._root.resolve()),
                next_step="git fetch --refetch (in a partial clone, when the remote answers), or git fsck; then the"
                " same command again",
            )
        return content

    def _read(self, name: str) -> bytes | None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(name.encode() + b"\n")
        self._process.stdin.flush()
        header = self._process.stdout.readline().rsplit(b" ", 2)
        if len(header) != 3 or not header[2].strip().isdigit():
            return None
        content = self._process.stdout.read(int(header[2]))
        self._process.stdout.read(1)
        return content
