"""The comparison as the comment on a pull request: GitHub's markdown. Standard library only.

Every string of the document is shown as code, in which GitHub makes no links, mentions, images or HTML; what
would end the code early is replaced by a look-alike. Words and structure are this module's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from auscult.comparison import changes
from auscult.comparison.details import details
from auscult.comparison.document import Comparison, Experiment, Fault, Side
from auscult.comparison.verdict import points, verdict
from auscult.comparison.wording import change, code, mark

#: Longest comment that GitHub takes; it counts characters, here bytes are counted, which are never fewer.
LIMIT = 65_536
#: Rows of the first table and entries of a list that are always shown.
_ROWS, _LISTED = 40, 30
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
    blocks, left = _blocks(document, where, posted=link is not None), list[str]()
    while len((text := _joined(blocks, left, where)).encode()) > limit:
        spare = [block for block in blocks if block.rank > 0]
        if not spare:
            return _least(document, limit, where)
        worst = min(spare, key=lambda block: (block.rank, -blocks.index(block)))
        blocks.remove(worst)
        left.append(worst.name)
    return text


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


def _blocks(document: Comparison, where: str, *, posted: bool) -> list[_Block]:
    said = verdict(document, code)
    first = said.joined(f"**{said.headline}**") + "."
    blocks = [
        _Block(0, "", f"### {_title(document)}\n\n{first}"),
        _Block(0, "", _scores(document)),
        _Block(9, "what could not be read", _faults(document.faults)),
        _Block(8, "the data", changes.data(document)),
        _Block(7, "parameters", changes.parameters(document)),
        _Block(4, "stages", changes.stages(document)),
        _Block(5, "sizes", changes.sizes(document)),
    ]
    for each in document.experiments:
        rank, name = (2, "figures of unchanged experiments") if each.state == "same" else (3, "figures of experiments")
        blocks.append(_Block(rank, name, details(each)))
    blocks.append(_Block(0, "", _foot(document, where, posted=posted)))
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
        "| experiment | validation score | difference | test score | difference |",
        "|:--|:--|:--|:--|:--|",
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
        " validation; the test part is shown, and chooses nothing. ▲ better and ▼ worse are beyond noise, ≈ is within"
        " noise, = is the same model with the same answers, ? is not known.",
    ]
    return "\n".join(lines)


def _score_cells(experiment: Experiment, part_name: str) -> list[str]:
    part = experiment.part(part_name)
    figure = part.figure("score") if part is not None else None
    values = change(figure, 100.0, 1) if figure is not None else "–"
    if experiment.state in ("added", "removed"):
        return [values, experiment.state]
    if figure is None or experiment.state == "unreadable":
        return [values, "? not compared"]
    return [values, f"{mark(figure, experiment.noise)}<br>{points(figure)}"]


def _faults(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    lines = [f"- {each.side}, {code(each.where)}: {code(each.reason, 400)}" for each in faults[:_LISTED]]
    if len(faults) > _LISTED:
        lines.append(f"- and {len(faults) - _LISTED} more")
    return "#### Could not be read, or does not agree\n\n" + "\n".join(lines)


def _foot(document: Comparison, where: str, *, posted: bool) -> str:
    base, commit = document.base.commit or "main", document.head.commit
    head = f"git checkout {commit} && " if commit and not document.head.dirty else ""
    if head and posted:  # a fork's commit is in nobody's clone; GitHub gives it to whoever names it
        head = f"git fetch origin {commit} && {head}"
    trust = " Figures and artifact were made by the pull request's own code: read that before you believe or open them."
    return (
        f"Plots and the full report are in {where}.{trust * posted} The same on your machine:\n\n"
        f"    {head}make pr-report BASE={base}\n\n"
        "How to read this: docs/pull-requests.md."
    )
