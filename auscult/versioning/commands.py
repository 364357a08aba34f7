"""git and DVC as child processes: their words in errors, their lines passed on as they come."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.core.process import OWNER

DVC = (sys.executable, "-m", "dvc")
_TAIL = 30


class CommandError(AuscultError):
    """A command ended with an error.

    Attributes
    ----------
    lines
        Its last lines.
    """

    def __init__(self, command: Sequence[str], code: int, lines: Sequence[str], where: Path) -> None:
        shown = " ".join(_named(command))
        self.lines = list(lines)
        super().__init__(
            f"{shown} ended with {code}:\n" + "\n".join(f"    {line}" for line in self.lines[-_TAIL:]),
            where=str(where),
            next_step="mend what it says and run the same command again",
        )


def git(place: Path, *arguments: str) -> str:
    """What git prints, without the last line end.

    Raises
    ------
    CommandError
        git ended with an error.
    """
    return _quiet(["git", *arguments], place)


def content(place: Path, *arguments: str) -> bytes:
    """What git prints, byte by byte; nothing where it ends with an error."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def succeeds(place: Path, *command: str) -> bool:
    """Whether a command ends with 0; what it prints is lost."""
    return subprocess.run(command, cwd=place, env=environment(), capture_output=True, check=False).returncode == 0


def dvc(place: Path, *arguments: str) -> str:
    """What DVC prints on its standard output; raises as :func:`git` does."""
    return _quiet([*DVC, *arguments], place)


def follow(place: Path, command: Sequence[str], tell: Callable[[str], None]) -> None:
    """Run a command and hand each line it prints to *tell*.

    Raises
    ------
    CommandError
        It ended with an error; the message holds its last lines.
    """
    process = subprocess.Popen(
        command,
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: deque[str] = deque(maxlen=_TAIL)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                lines.append(line.rstrip())
                tell(line.rstrip())
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise CommandError(command, code, list(lines), place)


def python_first() -> dict[str, str]:
    """The environment with this interpreter's commands first: ``python`` in ``dvc.yaml`` is this one."""
    here = str(Path(sys.executable).parent)
    return os.environ | {"PYTHONUNBUFFERED": "1", "PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}


def environment() -> dict[str, str]:
    """What a flow's children see besides: no questions asked, none of the user's hooks, and whom they belong to."""
    settings = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    return python_first() | {
        "GIT_TERMINAL_PROMPT": "0",
        # `dvc install` makes hooks that check out, ask and push in the middle of what a flow does in its order.
        "GIT_CONFIG_COUNT": str(settings + 1),
        f"GIT_CONFIG_KEY_{settings}": "core.hooksPath",
        f"GIT_CONFIG_VALUE_{settings}": os.devnull,
        OWNER: str(os.getpid()),
    }


def _quiet(command: Sequence[str], place: Path) -> str:
    done = subprocess.run(
        command, cwd=place, env=environment(), capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CommandError(command, done.returncode, lines, place)
    return done.stdout.rstrip("\n")


def _named(command: Sequence[str]) -> list[str]:
    """``dvc repro …`` instead of the interpreter's path."""
    return ["dvc", *command[len(DVC) :]] if tuple(command[: len(DVC)]) == DVC else list(command)
