"""The card of a data set's version: one page of markdown that git keeps, counts only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from auscult.core.records import PARTS
from auscult.core.tasks import Task
from auscult.reporting.data_card.demographics import SMALLEST, STEP, age_groups, sexes
from auscult.reporting.markdown import escape, table

if TYPE_CHECKING:
    import pandas as pd

#: From the repository's root, which lies two folders above a card.
DOCS = PurePosixPath("docs/data-versions.md")


def render(
    version: Mapping[str, Any],
    manifest: Mapping[str, Any],
    split: Mapping[str, Any],
    tasks: list[Task],
    recordings: pd.DataFrame,
) -> str:
    """The page.

    Parameters
    ----------
    version
        Of :func:`auscult.reporting.data_card.version.describe_version`.
    manifest, split
        The summaries of the stages ``validate`` and ``split``.
    recordings
        Of the manifest, for ages and sexes of patients.
    """
    blocks = [
        *_head(version, manifest),
        "## Parts",
        _parts(split),
        *_tasks(split, tasks),
        "## Recordings",
        *_recordings(manifest, recordings),
        "## Set aside",
        _set_aside(manifest),
        "## Known limits",
        _list([*manifest["limits"], *map(escape, (*manifest["notes"], *split["notes"]))]) or "None is known.",
        "## How to cite",
        f"{manifest['citation']}\n\nName the version as well: `{version['name']}`, made with the split"
        f" `{version['split_sha256'][:8]}`.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(version: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    added = f"{version['added_recordings']} recordings in {version['additions']} additions"
    facts = (
        ("content (SHA-256)", f"`{version['content_sha256']}`"),
        ("split (SHA-256)", f"`{version['split_sha256']}`"),
        ("licence", manifest["licence"]),
        ("from", _address(manifest["homepage"])),
        ("added after the download", added if version["additions"] else "nothing"),
    )
    return [
        f"# {manifest['title']}",
        f"`{version['name']}`: {version['recordings']:,} recordings of {version['patients']:,} patients,"
        f" {version['hours']:.2f} hours, {version['segments']:,} annotated segments.",
        "Synthetic: it shows that the pipeline works and says nothing about patients." if manifest["synthetic"] else "",
        _list([f"{name}: {value}" for name, value in facts]),
        "Written by `python -m stages.describe` from the manifest and the split: counts only, nobody's name."
        f" What the digests cover, and how to compare versions: [{DOCS.name}](../../{DOCS.as_posix()}).",
    ]


def _address(homepage: str) -> str:
    return f"<{homepage}>" if homepage.startswith("http") else homepage


def _parts(split: Mapping[str, Any]) -> str:
    sides = [(name, split["parts"][name]) for name in PARTS if split["parts"][name]["recordings"]]
    rows = [(n, s["patients"], s["recordings"], s["segments"], f"{s['hours']:.2f}") for n, s in sides]
    if split["test_from"] == "publisher":
        drawn = "The test part is the publisher's."
    else:
        drawn = "The test part was drawn by this project, by patient."
    exempt = f" {len(split['exempt'])} recordings are exempt by the publisher's own split." if split["exempt"] else ""
    return f"{table(('part', 'patients', 'recordings', 'segments', 'hours'), rows)}\n\n{drawn}{exempt}"


def _tasks(split: Mapping[str, Any], tasks: list[Task]) -> list[str]:
    """A table per task: classes, and how many each part has of them."""
    sides = [name for name in PARTS if split["parts"][name]["recordings"]]
    blocks = []
    for task in tasks:
        counts = {name: split["parts"][name]["tasks"][task.name] for name in sides}
        rows = [(name, *(counts[side][name]["units"] for side in sides)) for name in task.classes]
        blocks += [f"Task `{task.name}` ({escape(task.title)}), in {task.unit}s:", table(("class", *sides), rows)]
    return blocks


def _recordings(manifest: Mapping[str, Any], recordings: pd.DataFrame) -> list[str]:
    lengths = manifest["duration_s"]
    listed = {
        "labels of recordings": manifest["labels"]["recordings"],
        "labels of segments": manifest["labels"]["segments"],
        "devices": manifest["devices"],
        "locations": manifest["locations"],
        "sample rates (Hz)": manifest["sample_rates_hz"],
    }
    lines = [f"- {name}: {_tally(found)}" for name, found in listed.items() if found]
    if lengths:
        lines.append(f"- seconds: {lengths['min']:g} to {lengths['max']:g}, median {lengths['median']:g}")
    few = f"not shown: of fewer than {SMALLEST} patients in a group"
    lines.append(f"- patients by age (years): {_shares(age_groups(recordings)) or few}")
    lines.append(f"- patients by sex: {_shares(sexes(recordings)) or few}")
    why = (
        f"Age and sex are not crossed, no group is smaller than {SMALLEST} patients, and shares go in steps of"
        f" {STEP} %: neither this page nor what differs from the last one points at a person."
    )
    return ["\n".join(lines), why]


def _shares(found: Mapping[str, int]) -> str:
    """Roundly: an exact count tells, beside that of the version before, who the one new patient is."""
    total = sum(found.values())
    return ", ".join(f"{escape(name)} ({STEP * round(100 * count / total / STEP)} %)" for name, count in found.items())


def _tally(found: Mapping[str, int]) -> str:
    return ", ".join(f"{escape(name)} ({count:,})" for name, count in found.items())


def _set_aside(manifest: Mapping[str, Any]) -> str:
    found = manifest["rejects"]
    if not found:
        return "Nothing."
    rows = [(reason, about["recordings"], about["meaning"]) for reason, about in found.items()]
    lines = [f"| {reason} | {count} | {escape(meaning)} |" for reason, count, meaning in rows]
    return (
        "\n".join(["| reason | recordings | meaning |", "| --- | ---: | --- |", *lines])
        + f"\n\n{manifest['counts']['set_aside']} in all; a recording may have several reasons."
    )


def _list(entries: list[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)
