"""What the figures do not mean, in words that follow from the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auscult.reporting.report.dataset import Tables
from auscult.reporting.report.wording import OTHERS, points

#: A class of which this share or more comes from one device is given away by the device.
GIVEN_AWAY = 0.95


def limits(tables: Tables, experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences for the reader, the most important first."""
    said = ["This is research software, not a medical device: no figure here supports a diagnosis."]
    if tables.summary.get("synthetic"):
        said.append(
            "The recordings are synthetic. The figures show that the pipeline works; they say nothing about patients."
        )
    said += _unheard(experiments)
    said += _devices(tables)
    said += _fewness(tables)
    said.append(
        "Intervals are drawn by resampling patients of this one test part: they hold for patients recorded in the same"
        " way, at the same places, with the same devices. Another clinic is another population."
    )
    if any(item["exempt"] for item in experiments):
        said.append(
            "The exempt part shares patients with training or validation by the publisher's own split. It is reported"
            " apart: what it shows of patients who are known already may be higher than what a new patient would get."
        )
    shared = tables.shared()
    if len(shared):
        said.insert(
            1,
            f"{len(shared)} recordings of {shared['patient_id'].nunique()} patients of the test part stand in it as the"
            " publisher has them although these patients, too, are in training or validation (split.official:"
            " published). The test figures are not those of new patients.",
        )
    if len(experiments) > 1:
        said.append(
            f"{len(experiments)} experiments are shown side by side. The best of several looks better than it is;"
            " choose by validation, and read the test column afterwards."
        )
    return said


def _unheard(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the experiments that do not beat the floor that never listens."""
    judged = [item for item in experiments if item["verdict"].level != "unknown"]
    said = []
    for outcome, why in (
        ("worse", "device, place, age, sex and duration tell more"),
        ("unclear", "this test part cannot tell it from what device, place, age, sex and duration give away"),
    ):
        names = [
            item["name"]
            for item in judged
            if any(d["key"] == "metadata_only" and d["outcome"] == outcome for d in item["differences"])
        ]
        if names:
            verb = "is" if len(names) == 1 else "are"
            said.append(
                f"{', '.join(names)} {verb} not shown to beat {OTHERS['metadata_only']}: {why}. Whatever the score, that is"
                " no evidence of having heard disease."
            )
    return said


def _devices(tables: Tables) -> list[str]:
    """Classes that a device gives away, and devices that give a class away."""
    said = []
    for task in tables.tasks:
        if task.unit != "recording":
            continue
        units = tables.units(task)
        known = units[units["device"].notna()]
        for name, group in known.groupby("class_name", sort=True):
            shares = group["device"].value_counts(normalize=True)
            others = known[known["class_name"] != name]
            elsewhere = (others["device"] == shares.index[0]).mean() if len(others) else 1.0
            if len(group) >= 10 and shares.iloc[0] >= GIVEN_AWAY and elsewhere < 0.75:
                said.append(
                    f"Task {task.name}: {points(shares.iloc[0])} % of the recordings of class {name!r} were made with"
                    f" one device ({shares.index[0]}), {points(elsewhere)} % of the others. The device gives the class"
                    " away; compare within one device and with the no-audio row."
                )
    return said


def _fewness(tables: Tables) -> list[str]:
    test = tables.recordings[tables.recordings["part"] == "test"]
    patients = int(test["patient_id"].nunique())
    if patients >= 100:
        return []
    return [
        f"The test part holds {patients} patients. However many recordings and cycles they have, the intervals can be"
        " no narrower than so few people allow."
    ]
