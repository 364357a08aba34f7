"""The comparison as the comment on a pull request: GitHub's markdown. Standard library only.

Every string of the document is shown as code, in which GitHub makes no links, mentions, images or HTML; what
would end the code early is replaced by a look-alike. Words and structure are this module's.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from flows.compare.document import Comparison, Experiment, Fault, Figure, Part, Side, Stage
from flows.compare.verdict import points, signed, verdict

#: Longest comment that GitHub takes; it counts characters, here bytes are counted, which are never fewer.
LIMIT = 65_536
#: Rows of the first table and entries of a list that are always shown.
_ROWS, _LISTED = 40, 30
_MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ within noise", "same": "= same", "unknown": "?"}
#: What would end a code span or a table's cell.
_LOOK_ALIKES = str.maketrans({"`": "ˋ", "|": "∣"})
_CUT = "*Shortened to fit a comment: {what} left out. All of it is in {where}.*"
_ARTIFACT = "the artifact of the run: `comparison.html` opens offline"


@dataclass(frozen=True)
class _Block:
    """A section; of several that do not fit, the one with the lowest rank goes first."""

    rank: int
    name: str
    text: str


def render(document: Comparison, limit: int = LIMIT, link: str | None = None) -> str:
    """The comment.

    Parameters
    ----------
    limit
        Most bytes (UTF-8) of the result; whole sections are left out to keep it, the least telling first, and
        a sentence says so.
    link
        Address of the run with the full report, from a trusted source.

    Raises
    ------
    ValueError
        The link is no plain web address.
    """
    where = f"[the run's artifact](<{_address(link)}>): `comparison.html` opens offline" if link else _ARTIFACT
    blocks, left = _blocks(document, where), list[str]()
    while len((text := _joined(blocks, left, where)).encode()) > limit:
        spare = [block for block in blocks if block.rank > 0]
        if not spare:
            return _least(document, limit, where)
        worst = min(spare, key=lambda block: (block.rank, -blocks.index(block)))
        blocks.remove(worst)
        left.append(worst.name)
    return text


def code(text: str, most: int = 200) -> str:
    """A string of the document as a code span that it cannot leave."""
    return f"`{_plain(text, most).translate(_LOOK_ALIKES)}`"


def mark(figure: Figure, noise: str) -> str:
    """What a figure's difference is, in a word or two."""
    doubt = "?" if figure.mark in ("better", "worse") and noise == "not measured" else ""
    return _MARKS[figure.mark] + doubt


def _plain(text: str, most: int) -> str:
    """One line without characters that are invisible or change the order of others."""
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return (shown if len(shown) <= most else shown[: most - 1] + "…") or "(empty)"


def _address(link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme not in ("http", "https") or not parts.netloc or set(link) & set("<>()[]\\\"'` \t\r\n|"):
        raise ValueError(f"no plain web address: {link!r}")
    return link


def _joined(blocks: Sequence[_Block], left: Sequence[str], where: str) -> str:
    texts = [block.text for block in blocks]
    if left:
        texts.insert(1, _CUT.format(what=_and(_unique(left)), where=where))
    return "\n\n".join(texts) + "\n"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _least(document: Comparison, limit: int, where: str) -> str:
    """Where not even the first table fits: the verdict, or as much of it as does."""
    tail = f"\n\n*All of it is in {where}.*\n"
    said = verdict(document, code)
    for text in (said.line(), said.headline):
        if len((made := f"**{text}**{tail}").encode()) <= limit:
            return made
    return said.headline.encode()[:limit].decode(errors="ignore")


def _blocks(document: Comparison, where: str) -> list[_Block]:
    said = verdict(document, code)
    first = f"**{said.headline}.**" if not said.details else f"**{said.headline}**: {'; '.join(said.details)}."
    blocks = [
        _Block(0, "", f"### {_title(document)}\n\n{first}"),
        _Block(0, "", _scores(document)),
        _Block(9, "what could not be read", _faults(document.faults)),
        _Block(8, "the data", _data(document)),
        _Block(7, "parameters", _parameters(document)),
        _Block(4, "stages", _stages(document)),
        _Block(5, "sizes", _sizes(document)),
    ]
    for each in document.experiments:
        rank, name = (2, "figures of unchanged experiments") if each.state == "same" else (3, "figures of experiments")
        blocks.append(_Block(rank, name, _details(each)))
    blocks.append(_Block(0, "", _foot(document, where)))
    return [block for block in blocks if block.text]


def _title(document: Comparison) -> str:
    head = f"{_commit(document.head)}{' with uncommitted changes' if document.head.dirty else ''}"
    return f"Metrics on {code(document.dataset)}: {head} against {_commit(document.base)}"


def _commit(side: Side) -> str:
    name = code(side.revision)
    return f"{name} (`{side.commit[:10]}`)" if side.commit and side.commit != side.revision else name


def _scores(document: Comparison) -> str:
    """A row per experiment: its validation score, which decides, and its test score."""
    if not document.experiments:
        return "There are no experiments."
    lines = [
        "| experiment | validation score | difference | | test score | difference | |",
        "|:--|:--|:--|:--|:--|:--|:--|",
    ]
    for each in document.experiments[:_ROWS]:
        cells = [code(each.name, 80)]
        for part in ("validation", "test"):
            cells += _score_cells(each, part)
        lines.append(f"| {' | '.join(cells)} |")
    if len(document.experiments) > _ROWS:
        lines.append(f"\nand {len(document.experiments) - _ROWS} more experiments.")
    share = f"{100 * document.confidence:.4g} %"
    lines += [
        "",
        f"Score is (sensitivity + specificity) / 2 in points of 100. Intervals are {share} each"
        + (
            f", so that the {document.shared_by} experiments together err seldom enough,"
            if document.shared_by > 1
            else ","
        )
        + " over patients that both sides answered for, and widened by what retraining alone does. The verdict rests on"
        " validation; the test part is shown, and chooses nothing.",
    ]
    return "\n".join(lines)


def _score_cells(experiment: Experiment, part_name: str) -> list[str]:
    part = experiment.part(part_name)
    figure = part.figure("score") if part is not None else None
    if experiment.state in ("added", "removed"):
        values = _change(figure, 100.0, 1) if figure is not None else "–"
        return [values, "–", experiment.state]
    if figure is None:
        return ["–", "–", "? not read" if experiment.state == "unreadable" else "?"]
    return [_change(figure, 100.0, 1), points(figure), mark(figure, experiment.noise)]


def _change(figure: Figure, scale: float, digits: int) -> str:
    return f"{_value(figure.base, scale, digits)} → {_value(figure.head, scale, digits)}"


def _value(value: float | None, scale: float = 1.0, digits: int = 3) -> str:
    return "–" if value is None else f"{scale * value:.{digits}f}".replace("-", "−")


def _faults(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    lines = [f"- {each.side}, {code(each.where)}: {code(each.reason, 400)}" for each in faults[:_LISTED]]
    if len(faults) > _LISTED:
        lines.append(f"- and {len(faults) - _LISTED} more")
    return "#### Could not be read, or does not agree\n\n" + "\n".join(lines)


def _data(document: Comparison) -> str:
    data = document.data
    if data is None:
        return ""
    if not data.changed:
        return f"#### Data\n\nThe same recordings, labels and split on both sides ({code(data.head)})."
    lines = [f"#### Data: {code(data.base)} → {code(data.head)}", "", "| | base | head |", "|:--|--:|--:|"]
    lines += [f"| {code(each.name)} | {_count(each.base)} | {_count(each.head)} |" for each in data.counts[:60]]
    return "\n".join(lines)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def _parameters(document: Comparison) -> str:
    if not document.parameters:
        return ""
    lines = ["#### Parameters", "", "| parameter | base | head |", "|:--|:--|:--|"]
    for each in document.parameters[:_LISTED]:
        base, head = ("–" if value is None else code(value, 80) for value in (each.base, each.head))
        lines.append(f"| {code(each.name)} | {base} | {head} |")
    if len(document.parameters) > _LISTED:
        lines.append(f"\nand {len(document.parameters) - _LISTED} more.")
    return "\n".join(lines)


def _stages(document: Comparison) -> str:
    if not document.stages:
        return ""
    changed = sum(each.state != "unchanged" for each in document.stages)
    ran = sum(each.head_did == "ran" for each in document.stages)
    seconds = sum(each.head_seconds or 0.0 for each in document.stages)
    lines = [
        f"<details><summary>Stages: {changed} differ in dvc.lock, {ran} of head ran here ({seconds:.0f} s)</summary>",
        "",
        "| stage | what differs | base | head |",
        "|:--|:--|:--|:--|",
    ]
    for each in document.stages[:100]:
        did = [_did(each.base_did, each.base_seconds), _did(each.head_did, each.head_seconds)]
        lines.append(f"| {code(each.name)} | {_differs(each)} | {' | '.join(did)} |")
    return "\n".join([*lines, "", "</details>"])


def _did(did: str | None, seconds: float | None) -> str:
    if did is None:
        return "–"
    return did if seconds is None else f"{did}, {seconds:.1f} s"


def _differs(stage: Stage) -> str:
    if stage.state != "changed":
        return stage.state
    kinds = {
        "code": stage.code,
        "parameters": stage.parameters,
        "inputs": stage.inputs,
        "outputs": stage.outputs,
    }
    return "; ".join(f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names)


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(code(each, 80) for each in names[:most]) + more


def _sizes(document: Comparison) -> str:
    if not document.sizes:
        return ""
    lines = ["#### Size", "", "| | base | head |", "|:--|--:|--:|"]
    lines += [f"| {code(each.name)} | {_bytes(each.base)} | {_bytes(each.head)} |" for each in document.sizes]
    return "\n".join(lines)


def _bytes(count: int | None) -> str:
    return "–" if count is None else f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _details(experiment: Experiment) -> str:
    """Every metric of both parts, and the confusion matrices, folded away."""
    words = {
        "compared": "every metric, confusion",
        "same": "the same model and answers: every metric, confusion",
        "added": "added",
        "removed": "removed",
        "unreadable": "could not be compared",
    }
    summary = html.escape(_plain(experiment.name, 80))
    lines = [f"<details><summary><code>{summary}</code>: {words[experiment.state]}</summary>", ""]
    if experiment.note:
        lines += [f"{code(experiment.note, 400)}", ""]
    lines += [_noise(experiment), ""] if experiment.state == "compared" else []
    if experiment.parts:
        lines += [_metrics(experiment), ""]
    for part in experiment.parts[:1]:
        lines += [_confusions(part), ""]
    return "\n".join([*lines, "</details>"])


def _noise(experiment: Experiment) -> str:
    units = ", ".join(
        f"{part.units} {part.name} units of {part.patients} patients"
        + (
            ""
            if part.units == part.base_units == part.head_units
            else f" (base {part.base_units}, head {part.head_units})"
        )
        for part in experiment.parts
    )
    said = {
        "same model": "Both sides have the same model files: no retraining noise is added.",
        "measured": "Intervals hold the retraining noise that was measured for this experiment.",
        "pooled": "Intervals hold the retraining noise that was measured for this data set's experiments together.",
        "not measured": "Retraining noise not measured: an interval over patients only.",
    }[experiment.noise]
    return f"Compared on {units}. {said}" if units else said


def _on(part: Part) -> str:
    text = f"{part.units} {part.name} units of {part.patients} patients"
    if part.units == part.base_units == part.head_units:
        return text
    return f"{text} (base has {part.base_units} units, head {part.head_units})"


def _metrics(experiment: Experiment) -> str:
    parts = [part for part in (experiment.part("validation"), experiment.part("test")) if part is not None]
    names = list(dict.fromkeys(figure.name for part in parts for figure in part.figures))
    single = experiment.state != "compared"
    heads = " | ".join(f"{part.name}" if single else f"{part.name} | difference | " for part in parts)
    lines = [f"| metric | {heads} |", "|:--|" + ":--|" * (len(parts) if single else 3 * len(parts))]
    for name in names:
        cells = [code(name, 80)]
        for part in parts:
            figure = part.figure(name)
            cells += _single_cell(figure) if single else _metric_cells(figure, experiment.noise)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _single_cell(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["–"]
    value = figure.head if figure.head is not None else figure.base
    return [_value(value) if value is not None or not figure.note else code(figure.note, 120)]


def _metric_cells(figure: Figure | None, noise: str) -> list[str]:
    if figure is None:
        return ["–", "–", "?"]
    if figure.difference is None:
        return [_change(figure, 1.0, 3), code(figure.note, 120) if figure.note else "–", "?"]
    said = signed(figure.difference, 3)
    if figure.low is not None and figure.high is not None:
        said += f" ({signed(figure.low, 3)} to {signed(figure.high, 3)})"
    elif figure.note:
        said += f", {code(figure.note, 120)}"
    return [_change(figure, 1.0, 3), said, mark(figure, noise)]


def _confusions(part: Part) -> str:
    """Both matrices side by side: tables in the cells of a table, which GitHub allows with blank lines around."""
    sides = [(name, m) for name, m in (("base", part.base_confusion), ("head", part.head_confusion)) if m]
    tables = [f"<td>\n\n{_matrix(name, part.classes, matrix)}\n\n</td>" for name, matrix in sides]
    if not tables:
        return ""
    cells = "".join(tables)
    return f"Confusion on {part.name}, true class by answered class:\n\n<table><tr>{cells}</tr></table>"


def _matrix(side: str, classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    lines = [f"| {side} | {' | '.join(code(name, 40) for name in classes)} |", "|:--|" + "--:|" * len(classes)]
    for name, row in zip(classes, matrix, strict=False):
        cells = [str(count) for count in row[: len(classes)]]
        lines.append(f"| {code(name, 40)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _foot(document: Comparison, where: str) -> str:
    base = document.base.commit or "main"
    head = f"git checkout {document.head.commit} && " if document.head.commit and not document.head.dirty else ""
    return (
        f"Plots and the full report are in {where}. The same on your machine:\n\n"
        f"    {head}make pr-report BASE={base}\n\n"
        "How to read this: docs/pull-requests.md."
    )
