"""What the results mean, and what they do not mean: the verdict on an experiment, and the report's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from auscult.reporting.scale import points, with_interval

if TYPE_CHECKING:
    from auscult.reporting.report.dataset import Tables

Level = Literal["good", "fair", "doubtful", "bad", "worse", "unknown"]

#: A confidence interval wider than this (as a share) is mentioned.
WIDE = 0.15
#: A test part with fewer patients is mentioned.
FEW_PATIENTS = 100
#: A class with at least this share of its recordings from one device is mentioned.
ONE_DEVICE = 0.95
#: The baselines in the order of the tables, and their names in a sentence.
BASELINES = {
    "constant": "a constant answer",
    "metadata_only": "the metadata-only baseline",
    "gradient_boosting": "gradient boosting on the same features",
}


def metric_text(entry: Mapping[str, Any], *, sign: bool = False) -> str:
    """Return a metric of evaluation.json as text: ``78.3 (71.0 to 84.1)``, or why it is undefined."""
    if "undefined" in entry:
        return str(entry["undefined"])
    if "low" not in entry:
        return f"{points(entry['value'], sign=sign)} ({entry['no_interval']})"
    return with_interval("score", entry["value"], entry["low"], entry["high"], sign=sign)


def compared(difference: Mapping[str, Any]) -> Literal["better", "worse", "unclear"]:
    """Return whether the interval of a difference (model minus baseline) lies above zero, below it, or includes it."""
    if difference.get("low", 0.0) > 0:
        return "better"
    if difference.get("high", 0.0) < 0:
        return "worse"
    return "unclear"


@dataclass(frozen=True)
class Verdict:
    """The verdict on an experiment: its level, a headline, and the reasons."""

    level: Level
    headline: str
    reasons: tuple[str, ...]


def verdict(evaluation: Mapping[str, Any]) -> Verdict:
    """Return the verdict on one experiment, from the results on its test part."""
    test = evaluation["parts"]["test"]
    score = test["metrics"]["score"]
    if "undefined" in score:
        return Verdict("unknown", "No verdict on this test part", (f"The score is {score['undefined']}.",))
    differences = {name: test["baselines"][name]["model_minus_this"] for name in BASELINES}
    level, headline = _headline({name: compared(entry) for name, entry in differences.items()})
    words = {"better": "Better than", "worse": "Worse than", "unclear": "No difference shown to"}
    reasons = [
        f"{words[compared(entry)]} {BASELINES[name]}: {metric_text(entry, sign=True)} points."
        for name, entry in differences.items()
    ]
    return Verdict(level, headline, (*reasons, *_cautions(evaluation)))


def _headline(outcome: Mapping[str, str]) -> tuple[Level, str]:
    if outcome["constant"] == "worse":
        return "worse", "Worse than a constant answer"
    if outcome["constant"] != "better":
        return "bad", "Not shown to be better than a constant answer"
    if outcome["metadata_only"] == "worse":
        return "worse", "Worse than the metadata-only baseline"
    if outcome["metadata_only"] == "unclear":
        return "doubtful", "Not shown to be better than the metadata-only baseline"
    if outcome["gradient_boosting"] == "worse":
        return "fair", "Better than the metadata-only baseline, worse than gradient boosting on the same features"
    if outcome["gradient_boosting"] == "better":
        return "good", "Better than all three baselines"
    return "good", "Better than the metadata-only baseline, no difference shown to gradient boosting"


def _cautions(evaluation: Mapping[str, Any]) -> list[str]:
    test, validation = evaluation["parts"]["test"], evaluation["parts"]["validation"]
    score, chosen = test["metrics"]["score"], validation["metrics"]["score"]
    cautions = []
    if "low" not in score:
        cautions.append(f"The test part is too small for an interval ({score['no_interval']}).")
    elif score["high"] - score["low"] > WIDE:
        width = points(score["high"] - score["low"])
        cautions.append(f"The interval is {width} points wide, because the test part has {test['patients']} patients.")
    absent = [name for name, count in test["classes"].items() if not count]
    if absent:
        cautions.append(f"The test part has no {' and no '.join(absent)}: the results do not cover it.")
    if "value" in chosen and chosen["value"] - score["value"] > 0.1:
        gap = points(chosen["value"] - score["value"])
        cautions.append(f"The test score is {gap} points below the validation score.")
    return cautions


def limits(tables: Tables, experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences on what the results do not mean, the most important first."""
    found = ["This is research software, not a medical device: no result here supports a diagnosis."]
    shared = tables.shared()
    if len(shared):
        found.append(
            f"The test part contains {len(shared)} recordings of {shared['patient_id'].nunique()} patients who are in"
            " training or validation as well, because the publisher's split has them there (split.official:"
            " published). The test results are not results on new patients."
        )
    if tables.summary.get("synthetic"):
        found.append(
            "The recordings are synthetic. The results show that the pipeline works and say nothing about patients."
        )
    if count := tables.corrected("test"):
        found.append(
            f"{count} correction{'s' * (count != 1)} of labels concern{'s' * (count == 1)} patients of the test part"
            " (data/corrections): its scores cannot be compared with those before."
        )
    found += _not_better_than_metadata(experiments)
    found += _classes_of_one_device(tables)
    patients = int(tables.recordings.loc[tables.recordings["part"] == "test", "patient_id"].nunique())
    if patients < FEW_PATIENTS:
        found.append(
            f"The test part has {patients} patients. This number, not the number of recordings, limits how narrow the"
            " intervals can be."
        )
    found.append(
        "The intervals come from resampling the patients of this one test part. They hold for patients who are"
        " recorded in the same way, at the same locations and with the same devices; another hospital's patients are"
        " another population."
    )
    if any("exempt" in item["parts"] for item in experiments):
        found.append(
            "The exempt part shares patients with training or validation, because of the publisher's split. It is"
            " reported apart: its scores may be higher than those of new patients."
        )
    if len(experiments) > 1:
        found.append(
            f"The report shows {len(experiments)} experiments. The best test score among several is too optimistic:"
            " choose by validation, and read the test score afterwards."
        )
    return found


def _not_better_than_metadata(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the experiments that do not beat the metadata-only baseline."""
    defined = [item for item in experiments if item["verdict"].level != "unknown"]
    found = []
    for outcome, what in (("worse", "Worse than"), ("unclear", "Not shown to be better than")):
        names = [
            item["name"]
            for item in defined
            if any(d["key"] == "metadata_only" and d["outcome"] == outcome for d in item["differences"])
        ]
        if names:
            found.append(
                f"{what} {BASELINES['metadata_only']}, which sees device, location, age, sex and duration but no"
                f" audio: {', '.join(names)}. Whatever their score, it does not show that they recognise disease in"
                " the sound."
            )
    return found


def _classes_of_one_device(tables: Tables) -> list[str]:
    """Name the classes of recordings that nearly all come from one device, while others do not."""
    found = []
    for task in tables.tasks:
        if task.unit != "recording":
            continue
        units = tables.units(task)
        known = units[units["device"].notna()]
        for name, group in known.groupby("class_name", sort=True):
            shares = group["device"].value_counts(normalize=True)
            others = known[known["class_name"] != name]
            elsewhere = (others["device"] == shares.index[0]).mean() if len(others) else 1.0
            if len(group) >= 10 and shares.iloc[0] >= ONE_DEVICE and elsewhere < 0.75:
                found.append(
                    f"Task {task.name}: {points(shares.iloc[0])} % of the recordings of class {name!r} come from one"
                    f" device ({shares.index[0]}), but {points(elsewhere)} % of the others. A model can recognise the"
                    " device instead of the class: compare within one device, and with the metadata-only baseline."
                )
    return found
