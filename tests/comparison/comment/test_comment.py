"""The comment is posted once on the right pull request, and updated later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auscult.comparison import markdown
from auscult.comparison.comment.pull_request import MARKER
from auscult.versioning.github import GitHubError
from tests.comparison.comment.server import BOT, REPOSITORY, Planned
from tests.comparison.comment.workflow_run import HEAD, RUN_PAGE, Scenario, comparison, packed
from tests.waiting import HANGS_AFTER_S

ROOT = Path(__file__).resolve().parents[3]


def test_the_first_run_posts_the_comparison_with_a_link_to_the_full_report(scenario: Scenario) -> None:
    (body,) = scenario.comment()
    assert body == f"{MARKER}\n" + markdown.render(comparison(), link=f"{RUN_PAGE}/artifacts/701")
    assert "abnormal_logmel_cnn2d" in body


def test_a_later_run_updates_that_comment(scenario: Scenario) -> None:
    scenario.comment()
    scenario.github.artifacts[0]["expired"] = True
    scenario.github.upload("comparison-data", packed(comparison(dataset="icbhi")))
    (body,) = scenario.comment()
    assert "icbhi" in body


def test_the_comment_is_found_after_a_hundred_others(scenario: Scenario) -> None:
    for number in range(130):
        scenario.github.comment(f"remark {number}", {"login": "someone", "type": "User"})
    scenario.github.comment(f"{MARKER}\nold", BOT)
    bodies = scenario.comment()
    assert len(bodies) == 131
    assert "abnormal_logmel_cnn2d" in bodies[-1]


@pytest.mark.parametrize(
    "author",
    [{"login": "someone", "type": "User"}, {"login": "github-actions[bot]", "type": "User"}, None],
    ids=["a user", "a user with the bot's name", "a deleted account"],
)
def test_a_comment_of_another_author_is_not_changed_even_with_the_marker(
    scenario: Scenario, author: dict[str, str] | None
) -> None:
    scenario.github.comment(f"{MARKER}\nmine", author)
    bodies = scenario.comment()
    assert bodies[0] == f"{MARKER}\nmine"
    assert len(bodies) == 2


def test_another_comment_of_the_bot_is_not_changed(scenario: Scenario) -> None:
    scenario.github.comment(f"Coverage is 90 %.\n> {MARKER}", BOT)
    assert scenario.comment()[0].startswith("Coverage")


def test_metrics_of_an_older_head_are_not_posted(scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scenario.github.pulls.clear()
    scenario.github.pull(7, "cd" * 20)
    assert scenario.comment() == []
    assert "cdcdcdc" in caplog.text


def test_nothing_is_posted_on_a_closed_pull_request(scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scenario.github.pulls.clear()
    assert scenario.comment() == []
    assert "not open" in caplog.text


def test_a_pull_request_from_a_fork_is_found_among_others_with_its_commit(scenario: Scenario) -> None:
    scenario.github.pulls.clear()
    scenario.github.pull(8, HEAD, "contributor/other-fork", "main")
    scenario.github.pull(9, HEAD, "contributor/auscult", "main")
    scenario.run |= {"head_repository": {"full_name": "contributor/auscult"}, "head_branch": "main"}
    assert len(scenario.comment()) == 1
    assert f"POST /repos/{REPOSITORY}/issues/9/comments" in scenario.github.requests


def test_a_branch_name_is_escaped_in_the_query(scenario: Scenario) -> None:
    scenario.github.pulls.clear()
    scenario.github.pull(7, HEAD, branch="a&state=all#b/ü")
    scenario.run["head_branch"] = "a&state=all#b/ü"
    assert len(scenario.comment()) == 1


def test_a_deleted_fork_gets_no_comment(scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scenario.run["head_repository"] = None
    assert scenario.comment() == []
    assert "was deleted" in caplog.text


@pytest.mark.parametrize(
    ("conclusion", "word"), [("failure", "failed"), ("cancelled", "was cancelled"), ("timed_out", "timed out")]
)
def test_a_run_without_metrics_replaces_older_metrics(scenario: Scenario, conclusion: str, word: str) -> None:
    scenario.comment()
    scenario.github.artifacts.clear()
    scenario.run["conclusion"] = conclusion
    (body,) = scenario.comment()
    assert word in body
    assert RUN_PAGE in body
    assert "abnormal_logmel_cnn2d" not in body


def test_artifacts_of_an_earlier_attempt_are_not_used(scenario: Scenario) -> None:
    scenario.run |= {"conclusion": "failure", "run_started_at": "2026-11-20T12:00:00Z"}
    (body,) = scenario.comment()
    assert "failed" in body
    assert "abnormal_logmel_cnn2d" not in body


def test_a_run_that_failed_after_the_comparison_shows_both(scenario: Scenario) -> None:
    scenario.run["conclusion"] = "failure"
    (body,) = scenario.comment()
    assert "failed" in body
    assert "abnormal_logmel_cnn2d" in body


def test_server_errors_are_retried(scenario: Scenario) -> None:
    scenario.github.planned = [Planned("GET", "/pulls", 502), Planned("GET", "/artifacts", 500)]
    assert len(scenario.comment()) == 1
    assert scenario.waited == [1.0, 1.0]


def test_a_comment_posted_despite_a_server_error_is_not_posted_again(scenario: Scenario) -> None:
    scenario.github.planned = [Planned("POST", "/comments", 502, after=True)]
    assert len(scenario.comment()) == 1


def test_a_comment_lost_in_a_server_error_is_posted_again(scenario: Scenario) -> None:
    scenario.github.planned = [Planned("POST", "/comments", 502)]
    assert len(scenario.comment()) == 1


def test_a_secondary_rate_limit_is_waited_for_as_github_asks(scenario: Scenario) -> None:
    message = {"message": "You have exceeded a secondary rate limit."}
    scenario.github.planned = [Planned("POST", "/comments", 403, {"Retry-After": "17"}, message)]
    assert len(scenario.comment()) == 1
    assert scenario.waited == [17.0]


def test_a_long_rate_limit_is_an_error(scenario: Scenario) -> None:
    message = {"message": "API rate limit exceeded"}
    scenario.github.planned = [
        Planned("GET", "/pulls", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, message)
    ]
    with pytest.raises(GitHubError, match="rate limit"):
        scenario.comment()
    assert scenario.waited == []


def run(scenario: Scenario, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the workflow does: without packages, in the repository."""
    known = {"PATH": os.environ["PATH"], "GITHUB_EVENT_PATH": str(scenario.event())}
    known |= {"GITHUB_API_URL": scenario.github.address, "GITHUB_TOKEN": "a-token", "no_proxy": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-S", "-s", "-m", "auscult.comparison.comment"],
        cwd=ROOT,
        env=known | variables,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )


def test_the_command_needs_the_standard_library_only(scenario: Scenario) -> None:
    done = run(scenario)
    assert done.returncode == 0, done.stderr
    assert "#7: https://github.example/" in done.stdout
    assert len(scenario.github.bodies()) == 1


def test_a_token_without_write_access_is_an_error_with_the_remedy(scenario: Scenario) -> None:
    scenario.github.planned = [
        Planned("POST", "/comments", 403, {}, {"message": "Resource not accessible by integration"})
    ]
    done = run(scenario)
    assert done.returncode == 2
    assert "Resource not accessible by integration" in done.stderr
    assert "pull-requests: write" in done.stderr


@pytest.mark.parametrize("name", ["GITHUB_EVENT_PATH", "GITHUB_TOKEN", "GITHUB_API_URL"])
def test_a_missing_variable_is_an_error(scenario: Scenario, name: str) -> None:
    done = run(scenario, **{name: ""})
    assert done.returncode == 2
    assert name in done.stderr


def test_another_kind_of_event_is_an_error(scenario: Scenario, tmp_path: Path) -> None:
    (tmp_path / "push.json").write_text('{"ref": "refs/heads/main"}')
    done = run(scenario, GITHUB_EVENT_PATH=str(tmp_path / "push.json"))
    assert done.returncode == 2
    assert "push.json" in done.stderr
