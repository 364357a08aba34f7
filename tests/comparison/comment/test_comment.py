"""Where the comment goes, and that there is one of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auscult.comparison import markdown
from auscult.comparison.comment.github import GitHubError
from auscult.comparison.comment.sticky import MARKER
from tests.comparison.comment.clinic import HEAD, RUN_PAGE, Clinic, comparison, packed
from tests.comparison.comment.server import BOT, REPOSITORY, Planned

ROOT = Path(__file__).resolve().parents[3]


def test_the_first_run_posts_the_comparison_with_a_link_to_the_full_report(clinic: Clinic) -> None:
    (body,) = clinic.tell()
    assert body == f"{MARKER}\n" + markdown.render(comparison(), link=f"{RUN_PAGE}/artifacts/701")
    assert "abnormal_logmel_cnn2d" in body


def test_a_later_run_updates_that_comment(clinic: Clinic) -> None:
    clinic.tell()
    clinic.github.artifacts[0]["expired"] = True
    clinic.github.upload("comparison-data", packed(comparison(dataset="icbhi")))
    (body,) = clinic.tell()
    assert "icbhi" in body


def test_the_comment_is_found_behind_a_hundred_others(clinic: Clinic) -> None:
    for number in range(130):
        clinic.github.comment(f"remark {number}", {"login": "someone", "type": "User"})
    clinic.github.comment(f"{MARKER}\nold", BOT)
    bodies = clinic.tell()
    assert len(bodies) == 131
    assert "abnormal_logmel_cnn2d" in bodies[-1]


@pytest.mark.parametrize(
    "author",
    [{"login": "someone", "type": "User"}, {"login": "github-actions[bot]", "type": "User"}, None],
    ids=["a person", "a person of the bot's name", "an account that was deleted"],
)
def test_a_comment_of_somebody_else_is_left_alone_whatever_it_begins_with(
    clinic: Clinic, author: dict[str, str] | None
) -> None:
    clinic.github.comment(f"{MARKER}\nmine", author)
    bodies = clinic.tell()
    assert bodies[0] == f"{MARKER}\nmine"
    assert len(bodies) == 2


def test_another_comment_of_the_bot_is_left_alone(clinic: Clinic) -> None:
    clinic.github.comment(f"Coverage is 90 %.\n> {MARKER}", BOT)
    assert clinic.tell()[0].startswith("Coverage")


def test_figures_of_an_older_head_are_not_posted(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    clinic.github.pulls.clear()
    clinic.github.pull(7, "cd" * 20)
    assert clinic.tell() == []
    assert "its head is cdcdcdc by now" in capsys.readouterr().out


def test_nothing_is_posted_where_the_pull_request_was_closed(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.github.pulls.clear()
    assert clinic.tell() == []
    assert "not open any more" in capsys.readouterr().out


def test_a_pull_request_from_a_fork_gets_its_comment_and_no_other_one_does(clinic: Clinic) -> None:
    clinic.github.pulls.clear()
    clinic.github.pull(8, HEAD, "stranger/other-fork", "main")
    clinic.github.pull(9, HEAD, "stranger/auscult", "main")
    clinic.run |= {"head_repository": {"full_name": "stranger/auscult"}, "head_branch": "main"}
    assert len(clinic.tell()) == 1
    assert f"POST /repos/{REPOSITORY}/issues/9/comments" in clinic.github.asked


def test_a_branch_name_with_signs_in_it_is_looked_up_as_it_is(clinic: Clinic) -> None:
    clinic.github.pulls.clear()
    clinic.github.pull(7, HEAD, branch="a&state=all#b/ü")
    clinic.run["head_branch"] = "a&state=all#b/ü"
    assert len(clinic.tell()) == 1


def test_a_deleted_fork_ends_in_words(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    clinic.run["head_repository"] = None
    assert clinic.tell() == []
    assert "was deleted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("conclusion", "word"), [("failure", "failed"), ("cancelled", "was cancelled"), ("timed_out", "took too long")]
)
def test_a_run_without_figures_replaces_the_older_ones_by_saying_so(clinic: Clinic, conclusion: str, word: str) -> None:
    clinic.tell()
    clinic.github.artifacts.clear()
    clinic.run["conclusion"] = conclusion
    (body,) = clinic.tell()
    assert word in body
    assert RUN_PAGE in body
    assert "abnormal_logmel_cnn2d" not in body


def test_figures_of_an_earlier_attempt_are_not_taken_for_this_ones(clinic: Clinic) -> None:
    clinic.run |= {"conclusion": "failure", "run_started_at": "2026-11-20T12:00:00Z"}
    (body,) = clinic.tell()
    assert "failed" in body
    assert "abnormal_logmel_cnn2d" not in body


def test_a_run_that_failed_after_the_comparison_says_both(clinic: Clinic) -> None:
    clinic.run["conclusion"] = "failure"
    (body,) = clinic.tell()
    assert "failed" in body
    assert "abnormal_logmel_cnn2d" in body


def test_a_fault_of_the_server_is_waited_out(clinic: Clinic) -> None:
    clinic.github.planned = [Planned("GET", "/pulls", 502), Planned("GET", "/artifacts", 500)]
    assert len(clinic.tell()) == 1
    assert clinic.waited == [1.0, 1.0]


def test_a_comment_that_was_posted_though_the_server_failed_is_not_posted_again(clinic: Clinic) -> None:
    clinic.github.planned = [Planned("POST", "/comments", 502, after=True)]
    assert len(clinic.tell()) == 1


def test_a_comment_that_was_not_posted_is_posted_again(clinic: Clinic) -> None:
    clinic.github.planned = [Planned("POST", "/comments", 502)]
    assert len(clinic.tell()) == 1


def test_a_secondary_rate_limit_is_waited_for_as_long_as_github_says(clinic: Clinic) -> None:
    said = {"message": "You have exceeded a secondary rate limit."}
    clinic.github.planned = [Planned("POST", "/comments", 403, {"Retry-After": "17"}, said)]
    assert len(clinic.tell()) == 1
    assert clinic.waited == [17.0]


def test_a_rate_limit_that_lasts_is_said(clinic: Clinic) -> None:
    said = {"message": "API rate limit exceeded"}
    clinic.github.planned = [
        Planned("GET", "/pulls", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, said)
    ]
    with pytest.raises(GitHubError, match="rate limit"):
        clinic.tell()
    assert clinic.waited == []


def run(clinic: Clinic, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as the workflow runs it: nothing is installed, and the repository is the working directory."""
    known = {"PATH": os.environ["PATH"], "GITHUB_EVENT_PATH": str(clinic.event())}
    known |= {"GITHUB_API_URL": clinic.github.address, "GITHUB_TOKEN": "a-token", "no_proxy": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-S", "-s", "-m", "auscult.comparison.comment"],
        cwd=ROOT,
        env=known | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_posts_the_comment_without_any_package_installed(clinic: Clinic) -> None:
    done = run(clinic)
    assert done.returncode == 0, done.stderr
    assert "#7: https://github.example/" in done.stdout
    assert len(clinic.github.bodies()) == 1


def test_a_token_that_may_not_write_is_said_with_the_remedy(clinic: Clinic) -> None:
    clinic.github.planned = [
        Planned("POST", "/comments", 403, {}, {"message": "Resource not accessible by integration"})
    ]
    done = run(clinic)
    assert done.returncode == 2
    assert "Resource not accessible by integration" in done.stderr
    assert "pull-requests: write" in done.stderr


@pytest.mark.parametrize("name", ["GITHUB_EVENT_PATH", "GITHUB_TOKEN", "GITHUB_API_URL"])
def test_started_by_hand_it_says_what_is_missing(clinic: Clinic, name: str) -> None:
    done = run(clinic, **{name: ""})
    assert done.returncode == 2
    assert f"{name} is not set" in done.stderr


def test_an_event_of_another_kind_is_said(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "push.json").write_text('{"ref": "refs/heads/main"}')
    done = run(clinic, GITHUB_EVENT_PATH=str(tmp_path / "push.json"))
    assert done.returncode == 2
    assert "no run that ended" in done.stderr
