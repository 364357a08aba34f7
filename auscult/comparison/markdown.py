"""The comparison as the comment on a pull request, in GitHub's markdown. Standard library only.

Every string of the document is untrusted. It is shown as code, in which GitHub makes no links, mentions, images or
HTML; characters that would end the code are replaced by look-alikes. Only this module's own text is markup.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from auscult.comparison.document import PAGE, Comparison, Experiment, Metric, NoiseKind, Part, Revision, Stage, shorten
from auscult.comparison.verdict import missed, points, refused_anew, verdict, with_interval
from auscult.reporting import scale

#: Longest comment that GitHub accepts, in characters; here UTF-8 bytes are counted, which are never fewer.
LIMIT = 65_536
#: Maximum experiments in the first table, entries of a list, counts of the data, and stages.
_ROWS, _LISTED, _COUNTED, _STAGES = 40, 30, 60, 100
_NO_BREAK = "\N{NO-BREAK SPACE}"
_LOOK_ALIKES = str.maketrans({"`": "ˋ", "|": "∣"})
_MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ within noise", "same": "= same", "unknown": "?"}
_LEGEND = (
    "▲ better, ▼ worse: the interval excludes zero (with a ?: seed variance was not measured)."
    " ≈ within noise: the interval includes zero, which does not prove that nothing changed."
    " = same: same model, same predictions. ?: no value or no interval."
    " ✕ gate: the gate would refuse the model, which misses a limit on the test part."
)
#: How an experiment's intervals cover seed variance.
NOISE_NOTES: dict[NoiseKind, str] = {
    "same model": "Base and head have the same model files, so no seed variance is added.",
    "measured": "The intervals include the seed variance measured for this experiment, as an estimate from few"
    " trainings (Student's t).",
    "pooled": "The intervals include the seed variance pooled over the experiments on this data set, as an estimate"
    " from few trainings (Student's t).",
    "not measured": "Seed variance was not measured: the intervals cover the choice of patients only.",
}
#: What the metrics of the baselines are, whose names in the metrics files do not say it.
BASELINES = {"no_audio_score": "metadata-only baseline", "opponent_score": "gradient-boosting baseline"}
_TITLES = {
    "compared": "all metrics, confusion matrix",
    "same": "same model and predictions; all metrics, confusion matrix",
    "added": "added",
    "removed": "removed",
    "unreadable": "could not be compared",
}


class _Section(NamedTuple):
    """A section of the comment; the lowest rank is left out first, rank 0 never."""

    rank: int
    name: str
    text: str


def render(document: Comparison, limit: int = LIMIT, link: str | None = None) -> str:
    """Return the comment.

    Parameters
    ----------
    limit
        Maximum size in UTF-8 bytes; whole sections are left out to keep it, and a sentence names them. What is never
        left out needs less than 60,000.
    link
        Address of the artifact with the full report, from a trusted source; by default the report lies beside the
        comment's file.

    Raises
    ------
    ValueError
        The link is not a plain web address.
    """
    where = f"[the run's artifact](<{_address(link)}>) (`{PAGE}`, readable offline)" if link else f"`{PAGE}`"
    sections, left_out = _sections(document, where, posted=link is not None), list[str]()
    while len((text := _joined(sections, left_out, where)).encode()) > limit:
        least = min((each for each in sections if each.rank), key=lambda each: (each.rank, -sections.index(each)))
        sections.remove(least)
        left_out.append(least.name)
    return text


def _address(link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme not in ("http", "https") or not parts.netloc or set(link) & set("<>()[]\\\"'` \t\r\n|"):
        raise ValueError(f"not a plain web address: {link!r}")
    return link


def _joined(sections: Sequence[_Section], left_out: Sequence[str], where: str) -> str:
    texts = [section.text for section in sections]
    if left_out:
        names = ", ".join(dict.fromkeys(left_out))
        texts.insert(1, f"*Shortened to fit into a comment. Left out: {names}. The full report is in {where}.*")
    return "\n\n".join(texts) + "\n"


def _sections(document: Comparison, where: str, *, posted: bool) -> list[_Section]:
    result = verdict(document, code)
    first = result.line(f"**{result.headline}**")
    sections = [
        _Section(0, "", f"### {_title(document)}\n\n{first}."),
        _Section(0, "", _scores(document)),
        _Section(10, "limits of the gate", _limits(document)),
        _Section(9, "unreadable files", _faults(document)),
        _Section(8, "data", _data(document)),
        _Section(7, "parameters", _parameters(document)),
        _Section(4, "stages", _stages(document)),
        _Section(5, "sizes", _sizes(document)),
    ]
    for each in document.experiments:
        rank, name = (2, "metrics of unchanged experiments") if each.state == "same" else (3, "metrics of experiments")
        sections.append(_Section(rank, name, _details(each)))
    sections.append(_Section(0, "", _footer(document, where, posted=posted)))
    return [section for section in sections if section.text]


def _title(document: Comparison) -> str:
    head = f"{_named(document.head)}{' with uncommitted changes' if document.head.dirty else ''}"
    return f"Metrics on {code(document.dataset)}: {head} compared with {_named(document.base)}"


def _named(revision: Revision) -> str:
    name, commit = code(revision.name), revision.commit
    return f"{name} (`{commit[:10]}`)" if commit and commit != revision.name else name


def _scores(document: Comparison) -> str:
    """Return a row per experiment: its validation score, which decides, and its test score."""
    if not document.experiments:
        return "There are no experiments."
    heads = ["experiment", "validation: base → head", "difference", "noticed from", "test: base → head", "difference"]
    rows = [
        [
            code(each.name, 80),
            *_score_cells(each, "validation"),
            noticeable(each.score("validation")),
            *_score_cells(each, "test", gate(each)),
        ]
        for each in document.rows
    ]
    return f"{_table(heads, rows, _ROWS)}\n\n{method_note(document)}\n\n{_LEGEND}"


def method_note(document: Comparison) -> str:
    """Return how scores, intervals and verdict are defined."""
    shared, mean = document.shared_by, document.mean is not None
    together = f"{shared - mean} experiments{' and their mean' * mean} together"
    together = f" ({100 - 100 * (1 - document.confidence) * shared:.4g} % for the {together})"
    return (
        "Scores are (sensitivity + specificity) / 2, in points of 100, as all metrics but the log loss. The validation"
        " score alone decides the verdict."
        f" In parentheses: the {100 * document.confidence:.4g} % interval of the difference{together * (shared > 1)},"
        " from resampling the patients that base and head have in common, with seed variance where it was measured."
        " Noticed from: four of five such comparisons notice a true difference of this size; smaller ones are noticed"
        " less often."
        + " The mean is that of the trained experiments that differ: a loss that they share shows in it first."
        * mean
    )


def _score_cells(experiment: Experiment, part: str, mark: str = "") -> list[str]:
    metric = experiment.score(part)
    lines = [status(experiment, metric)]
    if metric is not None and metric.difference is not None:
        lines.append(points(metric))
    if mark:
        lines.append(_firm(mark))
    return [change(metric) if metric is not None else "–", "<br>".join(lines)]


def gate(experiment: Experiment) -> str:
    """Return the mark of a model that the gate would refuse for a limit; empty for others."""
    return "✕ gate" + " (base too)" * (not refused_anew(experiment)) if experiment.limits else ""


def _limits(document: Comparison) -> str:
    rows = [
        [code(each.name, 80), missed(limit, lambda name: code(name, 80)), shown(limit.name, limit.base)]
        for each in document.experiments
        for limit in each.limits
    ]
    if not rows:
        return ""
    about = "On its test part head misses these limits of `gate` in `flows/settings.yaml`; the gate would refuse it."
    return f"#### Limits of the gate\n\n{about}\n\n{_table(['experiment', 'head', 'base'], rows, _LISTED)}"


def _faults(document: Comparison) -> str:
    faults = document.faults
    if not faults:
        return ""
    lines = [f"- {each.revision}, {code(each.where)}: {code(each.reason, 400)}" for each in faults[:_LISTED]]
    if len(faults) > _LISTED:
        lines.append(f"- and {len(faults) - _LISTED} more")
    return "#### Unreadable or inconsistent\n\n" + "\n".join(lines)


def _footer(document: Comparison, where: str, *, posted: bool) -> str:
    trust = (
        " The pull request's own code computed the metrics and made the artifact: review the code before you trust the"
        " metrics or open the artifact."
    )
    return (
        f"The full report, with the intervals drawn: {where}.{trust * posted} To reproduce:\n\n"
        f"    {command(document, fetch=posted)}\n\n"
        "How to read this: docs/pull-requests.md."
    )


def command(document: Comparison, *, fetch: bool = False) -> str:
    """Return the command that makes the comparison again; *fetch*: in a clone that may lack the commit of a fork."""
    commit = "" if document.head.dirty else document.head.commit
    checkout = f"git checkout {commit} && " if commit else ""
    # GitHub serves commits of forks by their digest.
    fetched = f"git fetch origin {commit} && " if commit and fetch else ""
    return f"{fetched}{checkout}make pr-report BASE={document.base.commit or 'main'}"


def _data(document: Comparison) -> str:
    data = document.data
    if data is None:
        return ""
    if not data.changed:
        return f"#### Data\n\nUnchanged: the same recordings, labels and split assignment ({code(data.head)})."
    rows = [[code(each.name), count(each.base), count(each.head)] for each in data.counts]
    table = _table(["", "base", "head"], rows, _COUNTED, numbers=True)
    return f"#### Data: {code(data.base)} → {code(data.head)}\n\n{table}"


def _parameters(document: Comparison) -> str:
    rows = [
        [code(each.name), *("–" if value is None else code(value, 80) for value in (each.base, each.head))]
        for each in document.parameters
    ]
    return f"#### Parameters\n\n{_table(['parameter', 'base', 'head'], rows, _LISTED)}" if rows else ""


def _sizes(document: Comparison) -> str:
    rows = [[code(each.name), size(each.base), size(each.head)] for each in document.sizes]
    return f"#### Size\n\n{_table(['', 'base', 'head'], rows, numbers=True)}" if rows else ""


def _stages(document: Comparison) -> str:
    if not document.stages:
        return ""
    changed = sum(each.state != "unchanged" for each in document.stages)
    ran = sum(each.head_outcome == "ran" for each in document.stages)
    seconds = sum(each.head_seconds or 0.0 for each in document.stages)
    rows = [
        [
            code(each.name),
            stage_difference(each, lambda name: code(name, 80)),
            outcome(each.base_outcome, each.base_seconds),
            outcome(each.head_outcome, each.head_seconds),
        ]
        for each in document.stages
    ]
    summary = f"Stages: {changed} differ in dvc.lock, {ran} ran for head ({seconds:.0f} s)"
    return _folded(summary, _table(["stage", "what differs", "run for base", "run for head"], rows, _STAGES))


def _details(experiment: Experiment) -> str:
    """Return every metric of both parts and the confusion matrices, folded."""
    texts = [code(experiment.note, 400)] if experiment.note else []
    if experiment.state == "compared":
        units = ", ".join(map(compared_units, experiment.parts))
        texts.append((f"Compared on {units}. " if units else "") + NOISE_NOTES[experiment.noise])
    if experiment.parts:
        texts += [_metrics(experiment), _confusion_matrices(experiment.parts[0])]
    name = html.escape(_plain(experiment.name, 80))
    return _folded(f"<code>{name}</code>: {_TITLES[experiment.state]}", *texts)


def _folded(summary: str, *texts: str) -> str:
    return "\n\n".join([f"<details><summary>{summary}</summary>", *filter(None, texts), "</details>"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], maximum: int = 300, *, numbers: bool = False) -> str:
    """Return a table; *numbers*: all columns but the first are aligned right."""
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows[:maximum])]
    lines.insert(1, "|:--|" + ("--:|" if numbers else ":--|") * (len(heads) - 1))
    if len(rows) > maximum:
        lines.append(f"\nand {len(rows) - maximum} more.")
    return "\n".join(lines)


def compared_units(part: Part) -> str:
    """Return the number of compared units and patients, and the totals where they differ."""
    text = f"{part.units} {part.name} units of {part.patients} patients"
    if part.units == part.base_units == part.head_units:
        return text
    return f"{text} (base has {part.base_units}, head {part.head_units})"


def _metrics(experiment: Experiment) -> str:
    compared = experiment.state == "compared"
    names = dict.fromkeys(metric.name for part in experiment.parts for metric in part.metrics)
    heads = ["metric"]
    rows = [[code(name, 80) + (f" ({BASELINES[name]})" if name in BASELINES else "")] for name in names]
    for part in experiment.parts:
        heads += [f"{part.name}: base → head", "difference"] if compared else [part.name]
        for name, row in zip(names, rows, strict=True):
            metric = part.metric(name)
            row += _difference_cells(experiment, metric) if compared else [_value_cell(metric)]
    return _table(heads, rows)


def _value_cell(metric: Metric | None) -> str:
    if metric is None:
        return "–"
    value = metric.head if metric.head is not None else metric.base
    return code(metric.note, 120) if value is None and metric.note else shown(metric.name, value)


def _difference_cells(experiment: Experiment, metric: Metric | None) -> list[str]:
    if metric is None:
        return ["–", "?"]
    values, note = change(metric), f" {code(metric.note, 120)}" if metric.note else ""
    if metric.difference is None:
        return [values, f"?{note}"]
    symbol = _MARKS[metric.mark][0] + "?" * _doubtful(experiment, metric)
    return [values, _firm(f"{symbol} {with_interval(metric)}") + note]


def _confusion_matrices(part: Part) -> str:
    """Return both matrices side by side: tables in the cells of a table, which need blank lines around them."""
    tables = [_matrix(name, part.classes, matrix) for name, matrix in confusions(part)]
    if not tables:
        return ""
    cells = "".join(f"<td>\n\n{table}\n\n</td>" for table in tables)
    return f"Confusion matrix on {part.name}, true class by predicted class:\n\n<table><tr>{cells}</tr></table>"


def confusions(part: Part) -> list[tuple[str, Sequence[Sequence[int]]]]:
    """Return the confusion matrices that there are, by revision; equal ones once."""
    base, head = part.base_confusion, part.head_confusion
    named = [("base and head", head)] if base == head else [("base", base), ("head", head)]
    return [(name, matrix) for name, matrix in named if matrix]


def _matrix(name: str, classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    labels = [code(label, 40) for label in classes]
    rows = [[label, *map(str, row[: len(labels)])] for label, row in zip(labels, matrix, strict=False)]
    return _table([name, *labels], rows, numbers=True)


def code(text: str, maximum: int = 200) -> str:
    """Return a string of the document as a code span that it cannot leave."""
    return f"`{_plain(text, maximum).translate(_LOOK_ALIKES)}`"


def _plain(text: str, maximum: int) -> str:
    """Return one line without characters that are invisible or change the order of others."""
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return shorten(shown, maximum) or "(empty)"


def status(experiment: Experiment, metric: Metric | None) -> str:
    """Return the mark of a metric, with a question mark where it is doubtful; or why there is none."""
    if experiment.state in ("added", "removed"):
        return experiment.state
    if metric is None or experiment.state == "unreadable":
        return "? not compared"
    return _firm(_MARKS[metric.mark]) + "?" * _doubtful(experiment, metric)


def _doubtful(experiment: Experiment, metric: Metric) -> bool:
    """Return whether a difference may be due to the seed, whose variance was not measured."""
    return metric.mark in ("better", "worse") and experiment.noise == "not measured"


def _firm(text: str) -> str:
    """Return text in which no line breaks."""
    return text.replace(" ", _NO_BREAK)


def change(metric: Metric) -> str:
    """Return base → head."""
    return f"{shown(metric.name, metric.base)}{_NO_BREAK}→{_NO_BREAK}{shown(metric.name, metric.head)}"


def noticeable(metric: Metric | None) -> str:
    """Return the size from which a true difference is mostly noticed; a dash where there is no interval."""
    return "–" if metric is None else shown(metric.name, metric.noticeable)


def shown(name: str, value: float | None) -> str:
    """Return the value of a metric, or a dash for None."""
    return "–" if value is None else _firm(scale.shown(name, value))


def count(value: float | None) -> str:
    """Return a number that describes the data, with thousands separators."""
    return "–" if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def size(value: float | None) -> str:
    """Return bytes as megabytes or gigabytes."""
    return "–" if value is None else f"{value / 1e6:.2f} MB" if value < 1e9 else f"{value / 1e9:.2f} GB"


def outcome(what: str | None, seconds: float | None) -> str:
    """Return what a stage did, and its run time."""
    return "–" if what is None else what if seconds is None else f"{what}, {seconds:.1f} s"


def stage_difference(stage: Stage, quote: Callable[[str], str] = str) -> str:
    """Return which of a stage's dependencies and outputs differ; names go through *quote*."""
    if stage.state != "changed":
        return stage.state
    kinds = {"code": stage.code, "parameters": stage.parameters, "inputs": stage.inputs, "outputs": stage.outputs}
    return "; ".join(f"{kind}: {_first_names(names, quote)}" for kind, names in kinds.items() if names)


def _first_names(names: Sequence[str], quote: Callable[[str], str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(quote, names[:3])) + more
