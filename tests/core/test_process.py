"""Exit codes and messages of a stage, and its end when its parent is killed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from auscult.core.process import log_to_stdout, place_compiled_code, share_cache
from auscult.datasets.retrieval.source import recall, remember
from tests.flows.repositories import git, make
from tests.waiting import HANGS_AFTER_S, wait_for

ROOT = Path(__file__).resolve().parents[2]


def start(code: str, place: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment | variables)


CRASH = "from auscult.core.process import run\ndef main(): 1/0\nrun(main)"


def test_a_users_error_exits_with_2_and_no_traceback() -> None:
    done = start(
        "from auscult.core.process import run\nfrom auscult.core.errors import DataError\n"
        "def main(): raise DataError('no such file', where='here', next_step='make it')\nrun(main)"
    )
    assert done.returncode == 2
    assert "ERROR: no such file" in done.stderr
    assert "next:  make it" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_is_flushed_before_the_exit() -> None:
    done = start("from auscult.core.process import run\ndef main(): print('x' * 100_000)\nrun(main)")
    assert (done.returncode, len(done.stdout)) == (0, 100_001)


def test_a_bug_exits_with_3_and_names_the_file_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    done = start(CRASH, tmp_path)
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr and "Traceback" not in done.stderr
    (log,) = tmp_path.glob(".cache/auscult-error-*.log")
    assert str(log.relative_to(tmp_path)) in done.stderr
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("variables", [{"CI": "true"}, {}], ids=["in CI", "no folder can be written"])
def test_a_traceback_is_printed_where_a_file_would_be_lost(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / ".cache").touch()  # no folder
    nowhere = "import tempfile; tempfile.gettempdir = lambda: '/proc/none'\n"
    done = start(nowhere + CRASH, tmp_path, **variables)
    assert done.returncode == 3
    assert "Traceback" in done.stderr and "where: above" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("errno.ENOSPC, 'No space left on device', 'data/x.npy'", 2),
        ("errno.ENOSPC, 'No space left on device'", 2),
        ("errno.EROFS, 'Read-only file system'", 2),
        ("errno.EACCES, 'Permission denied', 'data/x.npy'", 2),
        ("errno.EPERM, 'Operation not permitted'", 3),  # not about a file
        ("errno.ENOENT, 'No such file or directory', 'data/x.npy'", 3),
    ],
)
def test_what_the_machine_refuses_is_no_bug(arguments: str, code: int, tmp_path: Path) -> None:
    main = f"def main(): raise OSError({arguments})"
    done = start(f"import errno\nfrom auscult.core.process import run\n{main}\nrun(main)", tmp_path)
    assert done.returncode == code
    assert ("data/x.npy" in done.stderr) == ("data/x.npy" in arguments)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_without_a_character_gets_a_question_mark(encoding: str) -> None:
    code = "from auscult.core.process import run\ndef main(): print('→ x')\nrun(main)"
    done = start(code, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "? x\n", "")


def test_messages_are_plain_lines_on_standard_output() -> None:
    done = start(
        "import logging\nfrom auscult.core.process import run\n"
        "def main():\n for name in ('auscult.x', '__main__'): logging.getLogger(name).info('%s: %d', name, 1)\n"
        " logging.getLogger('other').info('hidden'); logging.getLogger('auscult').debug('hidden')\nrun(main)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "auscult.x: 1\n__main__: 1\n", "")


def test_logging_is_restored_after_a_run_in_this_process(caplog: pytest.LogCaptureFixture) -> None:
    with log_to_stdout():
        pass
    with caplog.at_level(logging.INFO):
        logging.getLogger("auscult.x").info("again")
    assert caplog.messages == ["again"]
    assert logging.getLogger("auscult").handlers == []


@pytest.mark.parametrize("place", ["standalone/tmp1", "tmp2"])
def test_a_temporary_copy_of_the_project_has_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    copy = tmp_path / "project/.dvc/tmp/exps" / place
    copy.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    remember("icbhi", str(tmp_path))
    share_cache()
    assert not Path(".cache").is_symlink()
    monkeypatch.chdir(copy)
    share_cache()
    share_cache()
    assert recall("icbhi") == str(tmp_path)
    Path(".cache").unlink()
    Path(".cache").mkdir()
    share_cache()
    assert recall("icbhi") is None, "a cache that is there stays"
    monkeypatch.chdir(tmp_path)
    share_cache()
    assert not Path(".cache").exists(), "no copy"


def test_a_temporary_experiment_of_dvc_finds_the_remembered_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "my project", remote=False)
    stage = "from auscult.core.process import run; from auscult.datasets.retrieval.source import recall\n"
    stage += "from pathlib import Path\nrun(lambda: Path('found').write_text(str(recall('icbhi'))))\n"
    (root / "probe.py").write_text(stage)
    command = f"'{sys.executable}' probe.py"
    (root / "dvc.yaml").write_text(f'stages:\n  probe:\n    cmd: "{command}"\n    params: [seed]\n    outs: [found]\n')
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "a stage")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    remember("icbhi", str(tmp_path))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "exp", "run", "--temp", "-S", "seed=2"], check=True)
    found = [path.read_text() for path in (root / ".dvc/cache/files/md5").glob("*/*") if path.is_file()]
    assert str(tmp_path) in found and "None" not in found
    assert (root / ".cache/source-icbhi.txt").exists()


def test_a_clock_that_is_set_ends_no_stage(tmp_path: Path) -> None:
    """psutil derives the time of a start from the clock; the owner of this stage has not changed."""
    code = (
        "import os, time, psutil; from auscult.core.process import OWNER, die_with_parent\n"
        "os.environ[OWNER] = str(os.getppid()); die_with_parent(); time.sleep(0.5)\n"
        "before = psutil.Process().create_time(); real = psutil._pslinux.boot_time\n"
        "psutil._pslinux.boot_time = lambda: real() + 3600\n"
        "assert psutil.Process().create_time() - before > 3000; time.sleep(1); print('still here')"
    )
    assert start(code, tmp_path).stdout == "still here\n"


def test_a_stage_ends_when_its_dvc_is_killed(tmp_path: Path) -> None:
    """A script named dvc starts a shell that starts a stage, as DVC does."""
    pid_file = tmp_path / "pid"
    stage = (
        "import os, time, pathlib; from auscult.core.process import die_with_parent; die_with_parent();"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(3600)"
    )
    dvc = tmp_path / "dvc"
    dvc.write_text(
        f"import subprocess\nsubprocess.run(['sh', '-c', '{sys.executable} -c \"$STAGE\"; true'], cwd={str(ROOT)!r})\n"
    )
    parent = subprocess.Popen([sys.executable, str(dvc)], env=os.environ | {"STAGE": stage})
    child = psutil.Process(int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), process=parent)))
    time.sleep(0.5)
    assert child.is_running()
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=HANGS_AFTER_S)
    assert not alive


@pytest.mark.parametrize("chosen", [None, "/somewhere/else"])
def test_packages_that_cannot_be_written_keep_compiled_code_in_the_project(
    chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", chosen or "")
    if chosen is None:
        monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(Path(sys.prefix)))
    place_compiled_code()
    assert os.environ["NUMBA_CACHE_DIR"] == (chosen or str(tmp_path / ".cache/numba"))
