"""From figures to words: what a result means, said plainly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["good", "fair", "doubtful", "bad", "worse", "unknown"]

#: A wider interval than this (as a share) is called wide.
WIDE = 0.15
#: The comparisons in the order of the tables, and how they are called in a sentence.
OTHERS = {
    "constant": "a constant answer",
    "metadata_only": "a model that never hears the audio",
    "gradient_boosting": "gradient boosting on the same features",
}


def points(share: float, *, sign: bool = False) -> str:
    """A share as points of 100: ``0.7831`` → ``78.3``; with *sign* ``+3.2`` or ``−3.2``."""
    text = f"{100 * share:+.1f}" if sign else f"{100 * share:.1f}"
    return text.replace("-", "−")


def figure(entry: Mapping[str, Any], *, sign: bool = False) -> str:
    """A figure of evaluation.json in words: ``78.3 (71.0 to 84.1)``, or why there is none."""
    if "undefined" in entry:
        return str(entry["undefined"])
    value = points(entry["value"], sign=sign)
    if "low" not in entry:
        return f"{value} ({entry['no_interval']})"
    return f"{value} ({points(entry['low'], sign=sign)} to {points(entry['high'], sign=sign)})"


def compared(difference: Mapping[str, Any]) -> Literal["better", "worse", "unclear"]:
    """Whether an interval of model minus other lies above zero, below it, or on both sides."""
    if difference.get("low", 0.0) > 0:
        return "better"
    if difference.get("high", 0.0) < 0:
        return "worse"
    return "unclear"


@dataclass(frozen=True)
class Verdict:
    """What an experiment's test result means: a level for the eye, a headline, and what it rests on."""

    level: Level
    headline: str
    reasons: tuple[str, ...]


def verdict(evaluation: Mapping[str, Any]) -> Verdict:
    """The verdict on one experiment, from its test part."""
    test = evaluation["parts"]["test"]
    score = test["metrics"]["score"]
    if "undefined" in score:
        return Verdict("unknown", "Cannot be judged on this test part", (f"The score is {score['undefined']}.",))
    differences = {name: test["baselines"][name]["model_minus_this"] for name in OTHERS}
    level, headline = _headline({name: compared(entry) for name, entry in differences.items()})
    return Verdict(level, headline, (*_reasons(differences), *_cautions(evaluation)))


def _headline(outcome: Mapping[str, str]) -> tuple[Level, str]:
    if outcome["constant"] == "worse":
        return "worse", "Worse than a constant answer"
    if outcome["constant"] != "better":
        return "bad", "Not shown to be better than a constant answer"
    if outcome["metadata_only"] == "worse":
        return "worse", "Worse than a model that never hears the audio"
    if outcome["metadata_only"] == "unclear":
        return "doubtful", "Not shown to beat a model that never hears the audio"
    if outcome["gradient_boosting"] == "worse":
        return "fair", "Hears something, but gradient boosting on the same features hears more"
    if outcome["gradient_boosting"] == "better":
        return "good", "Hears more than both floors and than gradient boosting"
    return "good", "Hears more than both floors; not told apart from gradient boosting"


def _reasons(differences: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = {"better": "Better than", "worse": "Worse than", "unclear": "Not told apart from"}
    return [
        f"{said[compared(entry)]} {OTHERS[name]}: {figure(entry, sign=True)} points."
        for name, entry in differences.items()
    ]


def _cautions(evaluation: Mapping[str, Any]) -> list[str]:
    test, validation = evaluation["parts"]["test"], evaluation["parts"]["validation"]
    score, chosen = test["metrics"]["score"], validation["metrics"]["score"]
    cautions = []
    if "low" not in score:
        cautions.append(f"The test part is too small for an interval ({score['no_interval']}).")
    elif score["high"] - score["low"] > WIDE:
        width = points(score["high"] - score["low"])
        cautions.append(f"The interval is {width} points wide: {test['patients']} test patients are few.")
    absent = [name for name, count in test["classes"].items() if not count]
    if absent:
        cautions.append(f"No {' and no '.join(absent)} in the test part: nothing is known of it.")
    if "value" in chosen and chosen["value"] - score["value"] > 0.1:
        gap = points(chosen["value"] - score["value"])
        cautions.append(f"{gap} points less than on validation, where choices were made.")
    return cautions
