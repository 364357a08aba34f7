"""Read many objects of a git repository through one ``git cat-file`` process."""

from __future__ import annotations

import subprocess
from pathlib import Path

from auscult.versioning.commands import environment


class GitObjects:
    """Reader of a repository's objects; use it as a context manager."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            ["git", "cat-file", "--batch"], cwd=root, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> GitObjects:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def read(self, name: str) -> bytes:
        """Return an object's content by its hash or as ``<commit>:<path>``; empty if it does not exist.

        Objects beyond the end of a shallow clone do not exist.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(name.encode() + b"\n")
        self._process.stdin.flush()
        header = self._process.stdout.readline().rsplit(b" ", 2)
        if len(header) != 3 or not header[2].strip().isdigit():
            return b""
        content = self._process.stdout.read(int(header[2]))
        self._process.stdout.read(1)
        return content
