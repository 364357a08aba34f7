"""``auscult``: what holds for every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from auscult.cli.main import app, main
from auscult.core.errors import AuscultError

ROOT = Path(__file__).resolve().parents[2]


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, as the words that a user types."""
    for command in app.registered_commands:
        yield (str(command.name),)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            yield str(group.name), command.name or command.callback.__name__


def arguments_for(words: tuple[str, ...]) -> list[str]:
    """The command with a value for each argument that it needs."""
    needed = {
        ("compare",): ["main"],
        ("data", "add"): ["delivery"],
        ("data", "diff"): ["main"],
        ("data", "template"): ["delivery"],
        ("data", "correct"): ["101_1b1", "COPD", "--because", "a test"],
        ("data", "hard-examples"): ["sounds"],
        ("data", "lineage"): ["champion"],
        ("data", "withdraw"): ["226"],
        ("models", "history"): ["sounds"],
        ("models", "promote"): ["sounds", "--because", "a test"],
        ("models", "retire"): ["sounds", "--because", "a test"],
        ("models", "rollback"): ["sounds", "--because", "a test"],
    }
    return [*words, *needed.get(words, [])]


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Exit code of ``auscult`` with these words."""
    monkeypatch.setattr(sys, "argv", ["auscult", *words])
    monkeypatch.setattr("auscult.cli.main.prepare", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert f"auscult {' '.join(words)}" in " ".join(shown.output.split())


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_names_the_missing_project_directory(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, *arguments_for(words)) == 2
    assert "dvc.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (AuscultError("wrong", next_step="mend it"), 2),
        (KeyboardInterrupt(), 130),
        (ValueError("a fault"), 3),
        (SystemExit("a library gives up"), 3),  # with 1
        (typer.Exit(1), 1),
    ],
)
def test_the_exit_code_says_how_a_command_ended(
    raised: BaseException,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failing() -> None:
        raise raised

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("auscult.registry.promotion.overview", failing)
    assert run_main(monkeypatch, "models", "list") == code
    logs = list(tmp_path.glob(".cache/auscult-error-*.log"))
    assert len(logs) == (1 if code == 3 else 0)
    if logs:
        assert str(raised) in logs[0].read_text()
        assert str(logs[0].relative_to(tmp_path)) in capsys.readouterr().err


@pytest.mark.parametrize("words", [["nothing"], ["data", "add"], ["data", "diff", "a", "--yaml"], ["models"]])
def test_a_wrong_command_line_ends_with_two(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_main(monkeypatch, *words) == 2


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -0` does
    command = [sys.executable, "-m", "auscult", "data", "template", str(tmp_path / "delivery")]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    assert (tmp_path / "delivery/recordings.csv").exists()


def test_json_is_utf_8_on_every_terminal(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    code = (
        "import sys, types; from auscult.registry import promotion; from auscult.cli.main import main\n"
        "from dataclasses import dataclass\n@dataclass\nclass Found: name: str\n"
        "promotion.overview = lambda: Found('ü→\\udcff')\nimport json; dumps = json.dumps\n"
        "json.dumps = lambda *a, **k: dumps(*a, **k | {'ensure_ascii': False})\n"
        "sys.argv = ['auscult', 'models', 'list', '--json']; main()"
    )
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert json.loads(done.stdout) == {"name": "ü→\udcff"}, done.stderr


def test_help_loads_no_heavy_package() -> None:
    script = "import sys; import auscult.cli.main; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    heavy = ["pandas", "numpy", "torch", "mlflow", "prefect", "dvc", "sklearn", "scipy", "great_expectations"]
    done = subprocess.run([sys.executable, "-c", script, *heavy], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
