"""Run git and DVC as child processes. No other module starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.core.process import OWNER

#: Replaces the first word ``dvc`` of a command: the DVC of this interpreter, not that of PATH.
DVC = (sys.executable, "-m", "dvc")
_TAIL = 30
#: Settings of git that replace the user's: flows work unattended, and what git prints is read by programs.
_SETTINGS = {
    "core.hooksPath": os.devnull,  # those of ``dvc install`` check out and push
    # A key that needs a passphrase, or is not there, would stop a flow after its training.
    **dict.fromkeys(("commit.gpgSign", "tag.gpgSign", "push.gpgSign", "merge.verifySignatures"), "false"),
    "merge.ff": "true",
    # DVC compares bytes: also of a revision whose .gitattributes does not say so.
    **{"core.autocrlf": "false", "core.eol": "lf"},
    **{"color.ui": "false", "core.quotePath": "false", "log.showSignature": "false"},
    "status.showUntrackedFiles": "normal",
}
#: Variables that point git to another repository than that of the working directory, as a hook of a linked worktree or
#: ``git rebase --exec`` sets them (`git rev-parse --local-env-vars`, without those that only hold settings).
LOCAL_GIT_VARIABLES = frozenset(
    f"GIT_{name}"
    for name in (
        *("ALTERNATE_OBJECT_DIRECTORIES", "CONFIG", "OBJECT_DIRECTORY", "DIR", "WORK_TREE", "IMPLICIT_WORK_TREE"),
        *("GRAFT_FILE", "INDEX_FILE", "NO_REPLACE_OBJECTS", "REPLACE_REF_BASE", "PREFIX", "INTERNAL_SUPER_PREFIX"),
        *("SHALLOW_FILE", "COMMON_DIR"),
    )
)


class CommandError(AuscultError):
    """A command ended with an error.

    Attributes
    ----------
    lines
        The last lines of its output.
    """

    def __init__(self, command: Sequence[str], code: int, lines: Sequence[str], where: Path) -> None:
        self.lines = list(lines)
        super().__init__(
            f"{' '.join(command)} ended with {code}:\n" + "\n".join(f"    {line}" for line in self.lines[-_TAIL:]),
            where=str(where),
            next_step="fix what the output says and run the same command again",
        )


def git(place: Path, *arguments: str) -> str:
    """Return what git prints on standard output, without the last line break.

    Raises
    ------
    CommandError
        git ended with an error.
    """
    return _output(["git", *arguments], place)


def git_bytes(place: Path, *arguments: str) -> bytes:
    """Return what git prints, unchanged; empty if it ends with an error."""
    done = _run(["git", *arguments], place)
    return done.stdout if done.returncode == 0 else b""


def dvc(place: Path, *arguments: str) -> str:
    """Return what DVC prints on standard output. Raise as :func:`git` does."""
    return _output(["dvc", *arguments], place)


def succeeds(place: Path, *command: str) -> bool:
    """Return whether a command ends with exit code 0; its output is discarded."""
    return _run(command, place).returncode == 0


def follow(place: Path, command: Sequence[str], tell: Callable[[str], None]) -> None:
    """Run a command and pass each line of its output to *tell* as it comes.

    Raises
    ------
    CommandError
        It ended with an error; the message holds the last lines.
    """
    process = subprocess.Popen(
        _resolved(command),
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
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


def on_terminal(place: Path, *command: str) -> int:
    """Run a command that writes to this process's terminal; return its exit code.

    SIGTERM is passed on to the command. After Ctrl-C, which the command receives as well, wait for its end.
    """
    encoding = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]  # empty: the terminal's
    environ = environment(owned=False) | {"PYTHONIOENCODING": f"{encoding}:replace"}
    process = subprocess.Popen(_resolved(command), cwd=place, env=environ)
    previous = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


def environment(*, owned: bool = True) -> dict[str, str]:
    """Return the environment of a child process.

    This interpreter's folder comes first in PATH, so that ``python`` in ``dvc.yaml`` is this one; it finds the stages
    in the working directory (PYTHONSAFEPATH is removed) and prints UTF-8. git asks no questions, runs no hooks and
    signs nothing. It finds the repository by the working directory (:data:`LOCAL_GIT_VARIABLES` are removed).

    Parameters
    ----------
    owned
        Whether the command must end when this process does (:data:`auscult.core.process.OWNER`).
    """
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    first = int(count) if count.isdigit() else 0
    unwanted = LOCAL_GIT_VARIABLES | {"PYTHONSAFEPATH"}
    found = {name: value for name, value in os.environ.items() if name not in unwanted} | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:replace",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(first + len(_SETTINGS)),
    }
    for number, (name, value) in enumerate(_SETTINGS.items(), start=first):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found | {OWNER: str(os.getpid())} if owned else found


def forget_other_repositories() -> None:
    """Remove :data:`LOCAL_GIT_VARIABLES` from this process: DVC reads git's repository in this process too."""
    for name in LOCAL_GIT_VARIABLES:
        os.environ.pop(name, None)


def _output(command: Sequence[str], place: Path) -> str:
    done = _run(command, place)
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        lines = [line for line in (output + done.stderr.decode(errors="replace")).splitlines() if line.strip()]
        raise CommandError(command, done.returncode, lines, place)
    return output.rstrip("\n")


def _run(command: Sequence[str], place: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(_resolved(command), cwd=place, env=environment(), capture_output=True, check=False)


def _resolved(command: Sequence[str]) -> list[str]:
    return [*DVC, *command[1:]] if command[0] == "dvc" else list(command)
