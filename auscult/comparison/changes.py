"""What else changed, as sections of the comment: data, parameters, stages, sizes. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

from auscult.comparison.document import Comparison, Stage
from auscult.comparison.wording import code, listed

#: Rows of a table that are shown.
_LISTED, _COUNTED = 30, 60


def data(document: Comparison) -> str:
    """What was added, removed and changed in the data set, as counts."""
    data = document.data
    if data is None:
        return ""
    if not data.changed:
        return f"#### Data\n\nThe same recordings, labels and split on both sides ({code(data.head)})."
    lines = [f"#### Data: {code(data.base)} → {code(data.head)}", "", "| | base | head |", "|:--|--:|--:|"]
    lines += [f"| {code(each.name)} | {count(each.base)} | {count(each.head)} |" for each in data.counts[:_COUNTED]]
    if len(data.counts) > _COUNTED:
        lines.append(f"\nand {len(data.counts) - _COUNTED} more.")
    return "\n".join(lines)


def count(value: float | None) -> str:
    """A number of the data set in words."""
    return "–" if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def parameters(document: Comparison) -> str:
    """Leaves of ``params.yaml`` that differ."""
    if not document.parameters:
        return ""
    lines = ["#### Parameters", "", "| parameter | base | head |", "|:--|:--|:--|"]
    for each in document.parameters[:_LISTED]:
        base, head = ("–" if value is None else code(value, 80) for value in (each.base, each.head))
        lines.append(f"| {code(each.name)} | {base} | {head} |")
    if len(document.parameters) > _LISTED:
        lines.append(f"\nand {len(document.parameters) - _LISTED} more.")
    return "\n".join(lines)


def stages(document: Comparison) -> str:
    """Stages whose entry in the lock differs, and what ran for this comparison; folded away."""
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
        lines.append(f"| {code(each.name)} | {stage_differs(each, _short)} | {' | '.join(did)} |")
    return "\n".join([*lines, "", "</details>"])


def _did(did: str | None, seconds: float | None) -> str:
    if did is None:
        return "–"
    return did if seconds is None else f"{did}, {seconds:.1f} s"


def stage_differs(stage: Stage, quote: Callable[[str], str]) -> str:
    """Which of a stage's dependencies and outputs differ, names passed through *quote*."""
    if stage.state != "changed":
        return stage.state
    kinds = {
        "code": stage.code,
        "parameters": stage.parameters,
        "inputs": stage.inputs,
        "outputs": stage.outputs,
    }
    return "; ".join(f"{kind}: {listed([quote(name) for name in names])}" for kind, names in kinds.items() if names)


def _short(name: str) -> str:
    return code(name, 80)


def sizes(document: Comparison) -> str:
    """Bytes of models and outputs."""
    if not document.sizes:
        return ""
    lines = ["#### Size", "", "| | base | head |", "|:--|--:|--:|"]
    lines += [f"| {code(each.name)} | {size(each.base)} | {size(each.head)} |" for each in document.sizes]
    return "\n".join(lines)


def size(count: int | None) -> str:
    """Bytes in words."""
    return "–" if count is None else f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
