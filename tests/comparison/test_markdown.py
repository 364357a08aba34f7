"""The comment: its content, escaping of untrusted strings, and its size."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from auscult.comparison.document import Comparison, Count, Data, Fault, Limit, Parameter, Revision, Stage
from auscult.comparison.markdown import render
from auscult.comparison.verdict import verdict
from tests.comparison.documents import GOLDEN, comparison, experiment, golden
from tests.contract.imports import ROOT

#: Each would have an effect if it were taken for markup.
HOSTILE = (
    "@evil",
    "` @evil `",
    "a | evil | b",
    "evil\n\n# evil\n\n| evil |",
    "</code></summary></details><script>evil</script>",
    "[evil](https://evil.example)",
    "![evil](https://evil.example/x.png)",
    "https://evil.example www.evil.example evil@evil.example",
    "&#64;evil &lt;evil",
    "<!-- evil -->",
    "\u202eevil\u2066\u200b\x1b[31m\r",
    "``evil``` $evil$ \\`evil\\",
    "evil" * 20,
)


@pytest.mark.parametrize("name", sorted(golden()))
def test_the_comment_equals_the_golden_file(name: str) -> None:
    """After an intended change: python -m tests.comparison.documents, and read the difference."""
    assert render(golden()[name]) == (GOLDEN / f"{name}.md").read_text()


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("better", "Better: sounds_logmel_cnn2d +8.5 points (+5.5 to +11.5)"),
        ("worse", "Worse: sounds_logmel_cnn2d −14.5 points (−17.5 to −11.5)"),
        ("mixed", "Mixed: one +10.0 points (+7.0 to +13.0); two −10.0"),
        ("perhaps", "Perhaps better: one +10.0 points (+7.0 to +13.0); seed variance was not measured"),
        ("no_difference", "No difference beyond noise; not comparable: few (no interval: 2 patients"),
        (
            "refused",
            "No difference beyond noise, but the gate would refuse a model; sounds_logmel_cnn2d misses a limit"
            " (recall_both is 5.0, at least 20.0 is needed); a gain or loss below 28.0 points (sounds_logmel_cnn2d) may"
            " have gone unnoticed; the gate would refuse, for limits that base misses too: binary_mfcc_cnn2d",
        ),
        ("nothing_changed", "Nothing changed: every model and metric is the same"),
        ("broken_file", "No difference: every model that could be compared is the same; 1 item is unreadable"),
        ("other_data", "No difference beyond noise; the data differ: compared on"),
        ("no_base", "Cannot say; there is no base (this is the first commit"),
        ("removed", "Cannot say; not comparable: few (no interval: 2 patients"),
    ],
)
def test_the_verdict_is_one_line(name: str, begin: str) -> None:
    line = verdict(golden()[name]).line()
    assert line.startswith(begin) and "\n" not in line


def test_the_comment_states_the_smallest_difference_that_each_experiment_could_show() -> None:
    better, within = experiment("one", 0.7, 0.8, "better"), experiment("two", 0.7, 0.71)
    made = comparison(better, within)
    rows = {line.split("`")[1]: line.split(" | ") for line in render(made).splitlines() if line.startswith("| `")}
    assert (rows["one"][3], rows["two"][3]) == ("4.2", "28.0")
    assert verdict(made).line().endswith("a gain or loss below 28.0 points may have gone unnoticed")
    assert "unnoticed" not in verdict(comparison(better)).line(), "it was noticed"


def test_the_test_part_does_not_decide() -> None:
    one = experiment("one", 0.7, 0.71)
    moved = replace(
        one, parts=(one.parts[0], replace(one.parts[1], metrics=experiment("x", 0.1, 0.9, "better").parts[0].metrics))
    )
    assert verdict(comparison(moved)).kind == "no difference"


@pytest.mark.parametrize("problem", ["head", "base"])
def test_a_model_that_the_gate_would_refuse_is_named_without_a_base_too(problem: str) -> None:
    made = golden()["refused"]
    broken = replace(made, **{problem: replace(made.base, fault="it cannot be read")})
    assert verdict(broken).kind == "cannot say" and verdict(broken).refused
    assert "sounds_logmel_cnn2d misses a limit (recall_both is 5.0" in verdict(broken).line()


def hostile(text: str) -> Comparison:
    """Return a comparison whose every string is *text*."""
    limits = (Limit(text, 0.5, 0.1, 0.2, True),)
    one = experiment(text, 0.7, 0.8, "better", task=text, note=text, limits=limits)
    gone = experiment(text + "2", 0.7, 0.6)
    named = [
        replace(
            each,
            parts=tuple(
                replace(
                    part, classes=(text, text), metrics=(*part.metrics, replace(part.metrics[2], name=text, note=text))
                )
                for part in each.parts
            ),
        )
        for each in (one, gone)
    ]
    return comparison(
        *named,
        replace(named[0], name=text + "3", state="removed"),
        replace(named[0], name=text + "4", state="unreadable"),
        base=Revision(text, "a" * 40, False, ""),
        head=Revision(text, "b" * 40, True, ""),
        dataset=text,
        parameters=(Parameter(text, text, text),),
        data=Data(text, text, True, (Count(text, 1, 2),)),
        stages=(Stage(text, "changed", (text,), (text,), (text,), (text,), "ran", "ran", 1.0, 1.0),),
        sizes=(Count(text, 1, 2),),
        faults=(Fault("head", text, text),),
    )


def outside_code(text: str) -> str:
    """Return what a browser gets of a comment, without what is shown as code."""
    tokens = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").parse(text)
    shown = []
    for token in tokens:
        for each in token.children or [token]:
            if each.type not in ("code_inline", "code_block", "fence"):
                shown.append(f"{each.content} {each.attrs or ''}")
    return re.sub(r"<code>[^<]*</code>", "", "\n".join(shown))


@pytest.mark.parametrize("text", HOSTILE)
def test_untrusted_strings_never_become_markup(text: str) -> None:
    made = hostile(text)
    for document in (
        made,
        replace(made, base=Revision(text, "", False, text)),
        replace(made, head=Revision(text, "", False, text)),
    ):
        comment = render(document)
        left = outside_code(comment)
        assert "evil" in comment and "evil" not in left
        assert not re.search(r"<(?!/?(details|summary|table|tr|td|br)\b)", left), "unexpected markup"
        tags = re.findall(r"<(/?)(details|summary|table|tr|td)\b", left)
        assert sum(1 if not end else -1 for end, _ in tags) == 0
        assert not re.search("[\u202e\u2066\u200b\x1b\r]", comment)
    rows = [line for line in render(made).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} <= {4, 5, 6, 7}, "a string made a cell"


@pytest.mark.parametrize("limit", [65_536, 30_000, 10_000])
def test_a_long_comment_is_shortened_and_names_what_is_left_out(limit: int) -> None:
    same = [experiment(f"same_{n}", 0.7, 0.7, "same", state="same") for n in range(30)]
    many = comparison(*(experiment(f"moved_{n}", 0.7, 0.71) for n in range(60)), *same)
    assert len(render(many, limit=10**9).encode()) > 65_536
    comment = render(many, limit=limit)
    assert len(comment.encode()) <= limit
    assert "No difference" in comment and "full report" in comment
    if limit == 65_536:
        assert "metrics of unchanged experiments" in comment and "<code>moved_0</code>" in comment
        assert "<code>same_29</code>" not in comment, "the least important goes first"


@pytest.mark.parametrize("kind", ["moved", "unknown", "added", "unreadable head"])
def test_what_is_never_left_out_fits_into_a_comment(kind: str) -> None:
    """Every string has the maximum length that the format allows, and four bytes a character."""
    long = "\N{MUSICAL SYMBOL G CLEF}"
    text = {maximum: long * maximum for maximum in (120, 200, 600)}
    experiments = []
    for number in range(100):
        name = f"{number:03}{text[120]}"[:120]
        state, limits = "added" if kind == "added" else "compared", (Limit(text[120], None, 1e15, -1e15, False),) * 70
        each = experiment(name, -1e15, 1e15, "better", state=state, limits=limits)
        metrics = (replace(each.parts[0].metrics[0], low=-1e15, high=1e15, note=text[600]),)
        if kind == "unknown":
            metrics = (replace(metrics[0], mark="unknown"),)
        experiments.append(replace(each, parts=tuple(replace(part, metrics=metrics) for part in each.parts)))
    fault = text[600] if kind == "unreadable head" else ""
    base, head = Revision(text[120], "a" * 64, False, ""), Revision(text[120], "b" * 64, True, fault)
    faults = tuple(Fault("head", text[200], text[600]) for _ in range(400))
    made = comparison(*experiments, dataset=text[120], base=base, head=head, faults=faults)
    assert len(render(made, limit=60_000, link=f"https://example.org/{'x' * 200}").encode()) <= 60_000


def test_counts_beyond_the_limit_are_counted() -> None:
    data = Data("sample-1", "sample-2", True, tuple(Count(f"label {n}", 1, 2) for n in range(67)))
    assert "and 7 more." in render(comparison(data=data))


def test_the_link_must_be_a_plain_web_address() -> None:
    made = golden()["better"]
    assert "[the run's artifact](<https://example.org/runs/1>)" in render(made, link="https://example.org/runs/1")
    for address in ("javascript:alert(1)", "https://example.org/a)b", "https://example.org/ x", "example.org"):
        with pytest.raises(ValueError, match="plain web address"):
            render(made, link=address)


def test_a_posted_comment_says_that_the_pull_requests_code_computed_the_metrics() -> None:
    warning = "pull request's own code computed"
    assert warning in render(golden()["better"], link="https://example.org/runs/1")
    assert warning not in render(golden()["better"])


def test_the_command_of_a_posted_comment_fetches_the_commit_of_a_fork() -> None:
    made = golden()["better"]
    command = f"git checkout {made.head.commit} && make pr-report BASE={made.base.commit}\n"
    assert f"\n    {command}" in render(made)
    assert f"\n    git fetch origin {made.head.commit} && {command}" in render(made, link="https://example.org/runs/1")


def test_reading_and_rendering_need_the_standard_library_only() -> None:
    """They run where the comment is posted, with a Python without packages."""
    code = "import auscult.comparison.markdown, auscult.comparison.document, auscult.comparison.verdict"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
