"""Errors that a user can act on: what is wrong, where, and the next command.

A process prints an :class:`AuscultError` without a traceback and exits with
:data:`EXIT_USER_ERROR`. Any other exception is a bug: its traceback goes into a log file, and the process exits with
:data:`EXIT_FAULT` (:func:`auscult.core.crashes.report`). 1 is left for answers such as "different".
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path

EXIT_USER_ERROR, EXIT_FAULT, EXIT_INTERRUPTED = 2, 3, 130
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class AuscultError(Exception):
    """Expected failure, with its remedy.

    Parameters
    ----------
    what
        What is wrong, in one sentence.
    where
        The file, row, parameter or recording; empty if *what* names it.
    next_step
        The command or edit that solves the problem.
    """

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return "\n".join(lines)


class ParameterError(AuscultError):
    """A parameter is unknown, of the wrong type or out of range."""


class DataError(AuscultError):
    """Data are missing, incomplete or malformed."""


class LayoutError(DataError):
    """A folder is not one complete copy of a data set."""


class DownloadError(DataError):
    """A file could not be downloaded, verified or unpacked."""


class LeakError(DataError):
    """Data of one patient are in two parts of a split."""


def refused_by_machine(error: OSError, place: Path | None = None) -> AuscultError | None:
    """Return the error for a full disk, or for a file or folder that this user may not use; else ``None``.

    Parameters
    ----------
    place
        What was being read or written; by default what *error* names.
    """
    file = str(place or error.filename or "")
    if error.errno in _FULL:
        return AuscultError(
            f"no space left on the disk{f' while writing {file}' if file else ''}",
            where=str(Path(file).parent) if file else "",
            next_step="free some space (`dvc gc --workspace --all-branches` removes older outputs) and run it again",
        )
    if error.errno == errno.EROFS or (error.errno in _REFUSED and file):
        return AuscultError(
            f"the system refuses access{f' to {file}' if file else ''}: {error.strerror}",
            where=str(error.filename or file),
            next_step="give this user the right to read and write there, and run the same command again",
        )
    return None


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str = "", next_step: str = "") -> ParameterError:
    """Return the error for an unknown name; it lists the known names and suggests the closest.

    Examples
    --------
    >>> print(unknown_name("model", "cnn2", ["cnn1d", "cnn2d"]).what)
    unknown model 'cnn2'; there are: cnn1d, cnn2d. Did you mean 'cnn2d'?
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, reversed(choices), n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    what = f"unknown {kind} {name!r}; there are: {', '.join(choices) or 'none'}.{hint}"
    return ParameterError(what, where=where, next_step=next_step)
