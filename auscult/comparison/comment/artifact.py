"""The artifact that the pull request's run uploaded: untrusted input.

It is never unpacked to disk. Its size is checked before the download, and one file of it is read in memory. Everything
unexpected ends in a :class:`RefusedError`.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib

from auscult.comparison.comment.pull_request import WorkflowRun
from auscult.comparison.document import JSON, LARGEST
from auscult.core.errors import AuscultError
from auscult.versioning.github import GitHub, TooLargeError

#: Names of the artifacts in .github/workflows/pr-metrics.yml: for this program, and for readers.
DATA, PAGES = "comparison-data", "comparison"
#: Maximum bytes of the archive: incompressible content makes it hardly larger than the file in it.
LARGEST_ARCHIVE = LARGEST + (1 << 16)


class RefusedError(AuscultError):
    """The artifact is not as expected; nothing of it is used."""


def find(github: GitHub, run: WorkflowRun) -> dict[str, int]:
    """Return the name and GitHub's number of the artifacts, ``DATA`` and ``PAGES``, of this attempt of the run.

    Raises
    ------
    RefusedError
        The archive for this program is too large.
    """
    found: dict[str, int] = {}
    for artifact in github.pages(f"repos/{run.repository}/actions/runs/{run.number}/artifacts", key="artifacts"):
        name = artifact["name"]
        # ISO 8601 times in UTC sort as text. Artifacts of an earlier attempt do not count.
        if name not in (DATA, PAGES) or artifact["expired"] or str(artifact["created_at"]) < run.started:
            continue
        if name == DATA and artifact["size_in_bytes"] > LARGEST_ARCHIVE:
            raise RefusedError(
                f"its archive has {artifact['size_in_bytes']} bytes; at most {LARGEST_ARCHIVE} are allowed"
            )
        found[name] = max(int(artifact["id"]), found.get(name, 0))
    return found


def download(github: GitHub, run: WorkflowRun, number: int) -> bytes:
    """Return ``comparison.json`` from the artifact of that number.

    Raises
    ------
    RefusedError
        The archive is broken, too large, or holds anything but one regular file of the right name and at most
        ``LARGEST`` bytes.
    """
    try:
        archive = github.download(f"repos/{run.repository}/actions/artifacts/{number}/zip", LARGEST_ARCHIVE)
    except TooLargeError as error:
        raise RefusedError(f"its archive is too large: {error.what}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if len(entries) != 1 or entries[0].filename != JSON:
                raise RefusedError(f"its archive has {len(entries)} files; only {JSON} is allowed")
            _check(entries[0])
            with opened.open(entries[0]) as file:
                return file.read(LARGEST)  # zipfile stops at the declared size, and verifies the checksum
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise RefusedError(f"its archive cannot be read ({type(error).__name__})") from error


def _check(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or entry.is_dir():
        raise RefusedError(f"{JSON} is not a regular file")
    if entry.flag_bits & 0x1:
        raise RefusedError(f"{JSON} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError(f"{JSON} has an unexpected compression method")
    if entry.file_size > LARGEST:
        raise RefusedError(f"{JSON} has {entry.file_size} bytes; at most {LARGEST} are allowed")
