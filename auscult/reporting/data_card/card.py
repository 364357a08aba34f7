"""The data card of a version: one page of markdown in git, with counts only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from auscult.core.records import PARTS
from auscult.core.tasks import Task
from auscult.reporting.markdown import escape, table

if TYPE_CHECKING:
    import pandas as pd

#: Relative to the repository's root, two folders above a card.
DOCS = PurePosixPath("docs/data-versions.md")
#: No group of patients is smaller: the card is in git, and a group of one would reveal the age or sex of a person.
SMALLEST = 3
#: Shares of patients are rounded to steps of so many per cent.
STEP = 5
#: First years of the age groups.
AGES = (0, 2, 6, 12, 18, 30, 45, 60, 75)


def render(
    version: Mapping[str, Any],
    manifest: Mapping[str, Any],
    split: Mapping[str, Any],
    tasks: list[Task],
    recordings: pd.DataFrame,
) -> str:
    """Return the card.

    Parameters
    ----------
    version
        Result of :func:`auscult.reporting.data_card.identity.describe_version`.
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
        "## Rejected recordings",
        _rejected(manifest),
        "## Known limits",
        _list([*manifest["limits"], *map(escape, (*manifest["notes"], *split["notes"]))]) or "None known.",
        "## How to cite",
        f"{manifest['citation']}\n\nName the version as well: `{version['name']}`, with the split"
        f" `{version['split_sha256'][:8]}`.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(version: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    added = f"{version['added_recordings']} recordings in {version['additions']} additions"
    facts = (
        ("content (SHA-256)", f"`{version['content_sha256']}`"),
        ("split (SHA-256)", f"`{version['split_sha256']}`"),
        ("licence", manifest["licence"]),
        ("source", _address(manifest["homepage"])),
        ("added after the download", added if version["additions"] else "none"),
    )
    return [
        f"# {manifest['title']}",
        f"`{version['name']}`: {version['recordings']:,} recordings of {version['patients']:,} patients,"
        f" {version['hours']:.2f} hours, {version['segments']:,} annotated segments.",
        "Synthetic: results on it show that the pipeline works and say nothing about patients."
        if manifest["synthetic"]
        else "",
        _list([f"{name}: {value}" for name, value in facts]),
        "Written by `python -m stages.describe` from the manifest and the split. It holds counts only, no patient or"
        f" recording. What the digests cover and how to compare versions: [{DOCS.name}](../../{DOCS.as_posix()}).",
    ]


def _address(homepage: str) -> str:
    return f"<{homepage}>" if homepage.startswith("http") else homepage


def _parts(split: Mapping[str, Any]) -> str:
    parts = [(name, split["parts"][name]) for name in PARTS if split["parts"][name]["recordings"]]
    rows = [(name, p["patients"], p["recordings"], p["segments"], f"{p['hours']:.2f}") for name, p in parts]
    if split["test_from"] == "publisher":
        source = "The test part is the publisher's."
    elif split["test_from"] != "drawn":
        cohort = split["test_from"].removeprefix("cohort:")
        who = "the newest patients" if cohort == "newest" else f"the patients with a recording of {cohort}"
        source = f"The test part was held out by this project: {who}."
    else:
        source = "The test part was drawn by this project, by patient."
    exempt = (
        f" {len(split['exempt'])} recordings are exempt because of the publisher's split." if split["exempt"] else ""
    )
    return f"{table(('part', 'patients', 'recordings', 'segments', 'hours'), rows)}\n\n{source}{exempt}"


def _tasks(split: Mapping[str, Any], tasks: list[Task]) -> list[str]:
    """Return one table per task: units of each class in each part."""
    parts = [name for name in PARTS if split["parts"][name]["recordings"]]
    blocks = []
    for task in tasks:
        counts = {name: split["parts"][name]["tasks"][task.name] for name in parts}
        rows = [(name, *(counts[part][name]["units"] for part in parts)) for name in task.classes]
        blocks += [f"Task `{task.name}` ({escape(task.title)}), in {task.unit}s:", table(("class", *parts), rows)]
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
    few = f"not shown: a group has fewer than {SMALLEST} patients"
    lines.append(f"- patients by age (years): {_shares(age_groups(recordings)) or few}")
    lines.append(f"- patients by sex: {_shares(sexes(recordings)) or few}")
    privacy = (
        f"To protect patients, age and sex are not combined, no group has fewer than {SMALLEST} patients, and shares"
        f" are rounded to {STEP} %, so that no card, and no difference between two cards, identifies a person."
    )
    return ["\n".join(lines), privacy]


def _shares(found: Mapping[str, int]) -> str:
    """Return rounded shares: exact counts of two versions would reveal the group of one new patient."""
    total = sum(found.values())
    return ", ".join(f"{escape(name)} ({STEP * round(100 * count / total / STEP)} %)" for name, count in found.items())


def _tally(found: Mapping[str, int]) -> str:
    return ", ".join(f"{escape(name)} ({count:,})" for name, count in found.items())


def _rejected(manifest: Mapping[str, Any]) -> str:
    found = manifest["rejects"]
    if not found:
        return "None."
    lines = [f"| {reason} | {about['recordings']} | {escape(about['meaning'])} |" for reason, about in found.items()]
    return (
        "\n".join(["| reason | recordings | meaning |", "| --- | ---: | --- |", *lines])
        + f"\n\n{manifest['counts']['set_aside']} in total; a recording may have several reasons."
    )


def _list(entries: list[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)


def age_groups(recordings: pd.DataFrame) -> dict[str, int]:
    """Return age group → patients; neighbouring groups are joined until each has :data:`SMALLEST` patients.

    A patient counts once, at the age in the first recording. Empty if fewer ages are known.
    """
    ages = recordings.groupby("patient_id")["age_years"].min().dropna()
    if len(ages) < SMALLEST:
        return {}
    groups: list[list[int]] = []  # index of the first age group, of the one after the last, patients
    for index, low in enumerate(AGES):
        high = AGES[index + 1] if index + 1 < len(AGES) else float("inf")
        count = int(((ages >= low) & (ages < high)).sum())
        if groups and groups[-1][2] < SMALLEST:
            groups[-1][1:] = [index + 1, groups[-1][2] + count]
        else:
            groups.append([index, index + 1, count])
    while len(groups) > 1 and groups[-1][2] < SMALLEST:
        _, end, count = groups.pop()
        groups[-1][1:] = [end, groups[-1][2] + count]
    return {_age_range(first, end): count for first, end, count in groups}


def _age_range(first: int, end: int) -> str:
    return f"{AGES[first]} and older" if end == len(AGES) else f"{AGES[first]} to under {AGES[end]}"


def sexes(recordings: pd.DataFrame) -> dict[str, int]:
    """Return sex → patients; empty if one of them has fewer than :data:`SMALLEST`."""
    known = recordings.dropna(subset=["sex"]).groupby("patient_id")["sex"].first()
    found = {str(name): int(count) for name, count in sorted(known.value_counts().items())}
    return {} if any(count < SMALLEST for count in found.values()) else found
