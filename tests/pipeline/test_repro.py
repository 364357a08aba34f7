"""`make repro` as its user meets it: done once, nothing to do twice, the same everywhere, nothing lost on failure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.workspace import repro, run, without_network


def test_ends_with_a_table_and_a_report(finished: Path) -> None:
    done = repro(finished)
    assert "abnormal_logmel_cnn2d" in done.stdout
    assert "reports/sample/index.html" in done.stdout
    assert (finished / "reports/sample/index.html").stat().st_size > 10_000


def test_nobody_asked_for_another_machine(finished: Path, tmp_path: Path) -> None:
    env = without_network(tmp_path / "network")
    ask = [sys.executable, "-c", "import urllib.request; urllib.request.urlopen('http://example.org')"]
    assert subprocess.run(ask, env=env, capture_output=True, check=False).returncode == 1
    assert (tmp_path / "network/notes").exists(), "the trap works"
    assert not (finished.parent / "network/notes").exists()


def test_great_expectations_own_pages_on_request(copy: Path) -> None:
    run(copy, sys.executable, "-m", "auscult", "data", "docs")
    page = (copy / "reports/data-docs/index.html").read_text()
    assert "recordings" in page
    assert run(copy, "dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_second_run_has_nothing_to_do(finished: Path) -> None:
    before = (finished / "dvc.lock").read_bytes()
    done = repro(finished)
    assert "Running stage" not in done.stdout + done.stderr
    assert (finished / "dvc.lock").read_bytes() == before


def test_git_sees_nothing_but_lock_metrics_and_card(finished: Path) -> None:
    status = run(finished, "git", "status", "--porcelain", "--untracked-files=all").stdout.splitlines()
    changed = {line[3:] for line in status}
    card = {"data/sample/README.md", "data/sample/version.json"}
    assert changed == {"dvc.lock"} | card | {f"reports/sample/metrics/{name}.json" for name in metrics(finished)}


def metrics(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Content of each metrics file, by experiment."""
    return {path.stem: json.loads(path.read_text()) for path in (folder / "reports/sample/metrics").glob("*.json")}


def test_metrics_are_shown_by_dvc(finished: Path) -> None:
    shown = json.loads(run(finished, "dvc", "metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    assert (
        files["reports/sample/metrics/abnormal_logmel_cnn2d.json"]["data"] == metrics(finished)["abnormal_logmel_cnn2d"]
    )
    assert 0.0 <= metrics(finished)["abnormal_logmel_cnn2d"]["test"]["score"] <= 1.0


def test_plots_render_offline_data(copy: Path) -> None:
    run(copy, "dvc", "plots", "show", "--out", "plots")
    assert (copy / "plots/index.html").exists()


def test_an_experiment_from_the_command_line_runs_what_reads_the_parameter(copy: Path) -> None:
    run(copy, "git", "add", "-A")
    run(copy, "git", "commit", "-q", "-m", "results")
    done = run(copy, "dvc", "exp", "run", "-S", "report.worst=3")
    assert "Ran experiment" in done.stdout
    assert set(re.findall(r"Running stage '([^']+)'", done.stdout)) == {"report"}
    assert "report.worst" in run(copy, "dvc", "params", "diff").stdout


def test_push_and_pull_work_at_once_through_the_clones_own_remote(copy: Path) -> None:
    before = run(copy, "git", "status", "--porcelain").stdout
    run(copy, "dvc", "push")
    assert run(copy, "git", "status", "--porcelain").stdout == before
    run(copy, "git", "clean", "-fdXq", "data", "models")  # the card is git's
    run(copy, "rm", "-rf", ".dvc/cache")
    run(copy, "dvc", "pull")
    assert "up to date" in run(copy, "dvc", "status").stdout


def test_no_out_names_this_machine(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No absolute path of the clone in anything that DVC keeps."""
    needle = str(tmp_path_factory.getbasetemp().parent).encode()
    for folder in ("data/sample", "models/sample", "reports/sample"):
        for path in (finished / folder).rglob("*"):
            if path.is_file() and path.suffix in {".json", ".csv", ".html", ".md", ".parquet"}:
                assert needle not in path.read_bytes(), path
    assert needle not in (finished / "dvc.lock").read_bytes()
