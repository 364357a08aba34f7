"""What the pull request's run uploaded: data from a stranger.

It is never unpacked: one small archive is asked for, its size known before, and one file of it is read in memory.
Everything else about it ends in a :class:`Refusal`.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from dataclasses import dataclass

from auscult.comparison.comment.event import Run
from auscult.comparison.comment.github import GitHub, TooLarge
from auscult.comparison.document import JSON, LARGEST
from auscult.core.errors import AuscultError

#: Names under which .github/workflows/pr-metrics.yml uploads: for this program, and for people.
DATA, PAGES = "comparison-data", "comparison"
#: Bytes of the archive; what does not compress is hardly larger than what is in it.
LARGEST_ARCHIVE = LARGEST + (1 << 16)


class Refusal(AuscultError):
    """The artifact is not what it should be; nothing of it is used."""


@dataclass(frozen=True)
class Uploaded:
    """What the run uploaded: GitHub's numbers, null where there is no such artifact."""

    data: int | None
    pages: int | None


def uploaded(github: GitHub, run: Run) -> Uploaded:
    """The artifacts of this attempt of the run.

    Raises
    ------
    Refusal
        The archive for this program is larger than it can be.
    """
    found: dict[str, int] = {}
    for artifact in github.pages(f"repos/{run.repository}/actions/runs/{run.number}/artifacts", key="artifacts"):
        name = artifact["name"]
        # Times in ISO 8601, both in UTC, sort as text. An earlier attempt's figures are not this attempt's.
        if name not in (DATA, PAGES) or artifact["expired"] or str(artifact["created_at"]) < run.started:
            continue
        if name == DATA and artifact["size_in_bytes"] > LARGEST_ARCHIVE:
            raise Refusal(
                f"its archive holds {artifact['size_in_bytes']} bytes, and at most {LARGEST_ARCHIVE} are read"
            )
        found[name] = max(int(artifact["id"]), found.get(name, 0))
    return Uploaded(found.get(DATA), found.get(PAGES))


def content(github: GitHub, run: Run, number: int) -> bytes:
    """``comparison.json`` out of the artifact of that number; raises :class:`Refusal`."""
    try:
        archive = github.download(f"repos/{run.repository}/actions/artifacts/{number}/zip", LARGEST_ARCHIVE)
    except TooLarge as error:
        raise Refusal(f"its archive is too large: {error.what}") from error
    return only_file(archive)


def only_file(archive: bytes) -> bytes:
    """The one file that the archive may hold, a regular one of the right name, at most ``LARGEST`` bytes long.

    Raises
    ------
    Refusal
        There is another one, or it is something else, or the archive is broken.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if len(entries) != 1 or entries[0].filename != JSON:
                raise Refusal(f"its archive holds {len(entries)} files, and should hold {JSON} alone")
            _check(entries[0])
            with opened.open(entries[0]) as file:
                return file.read(LARGEST)  # never more than the entry's length, and its checksum is checked
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise Refusal(f"its archive cannot be read ({type(error).__name__})") from error


def _check(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or entry.is_dir():
        raise Refusal(f"{JSON} is no regular file")
    if entry.flag_bits & 0x1:
        raise Refusal(f"{JSON} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refusal(f"{JSON} is compressed in an unusual way")
    if entry.file_size > LARGEST:
        raise Refusal(f"{JSON} holds {entry.file_size} bytes, and at most {LARGEST} are read")
