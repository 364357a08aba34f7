"""git's objects, asked of one process: a history of thousands of commits is read in seconds."""

from __future__ import annotations

import subprocess
from pathlib import Path

from auscult.versioning.commands import environment


class Objects:
    """The objects of a repository, while the block lasts."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            ["git", "cat-file", "--batch"], cwd=root, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def read(self, name: str) -> bytes:
        """An object's content, by its hash or as ``<commit>:<path>``; empty where there is none.

        There is none below a shallow clone's end, either.
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
