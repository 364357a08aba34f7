"""One experiment as the page shows it: figures as text, positions on the track, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table
from auscult.evaluation.metrics import slug
from auscult.reporting.report import figures
from auscult.reporting.report.wording import OTHERS, compared, figure, points, verdict

if TYPE_CHECKING:
    import pandas as pd

PICTURES = {
    "confusion": "Confusion matrix on the test part: share of each true class by answer",
    "roc": "ROC curve on the test part: model, gradient boosting and no audio",
    "reliability": "Reliability on the test part: predicted probability against what came true",
}
#: Rows of the table of figures: name, what it is called, what it means.
FIGURES = (
    ("score", "Score", "mean of sensitivity and specificity (ICBHI)"),
    ("sensitivity", "Sensitivity", "abnormal whose class is exactly right"),
    ("detection_sensitivity", "Detection", "abnormal called anything but normal"),
    ("specificity", "Specificity", "normal called normal"),
    ("sprsound_score", "SPRSound score", "mean of arithmetic and harmonic mean of the two"),
    ("accuracy", "Accuracy", "all that is right; flatters the frequent class"),
    ("balanced_accuracy", "Balanced accuracy", "mean recall of the classes"),
    ("precision_macro", "Precision, macro", "mean over classes"),
    ("f1_macro", "F1, macro", "mean over classes"),
    ("roc_auc", "ROC-AUC", "of the abnormal class; several classes: mean of one against the rest"),
    ("roc_auc_abnormal", "ROC-AUC, normal against rest", "several classes taken as two"),
    ("pr_auc", "PR-AUC", "average precision; as ROC-AUC"),
    ("mcc", "MCC × 100", "Matthews' coefficient, −100 to 100"),
    ("brier", "Brier × 100", "squared error of the probabilities, lower is better"),
    ("calibration_error", "Calibration error", "mean gap between promised and observed, lower is better"),
)
GROUPS = {"device": "Device", "location": "Place on the chest", "age": "Age", "sex": "Sex"}


def describe(paths: Paths, name: str, worst: int) -> dict[str, Any]:
    """Everything that the page says of one experiment."""
    import pandas as pd

    evaluation = read_json(paths.evaluation(name) / "evaluation.json")
    model = read_json(paths.model(name) / "model.json")
    trials = read_json(paths.model(name) / "trials.json")
    history = pd.read_csv(paths.model(name) / "history.csv")
    task, parts = evaluation["task"], evaluation["parts"]
    return {
        "name": name,
        "task": task["name"],
        "title": task["title"] or task["name"],
        "unit": task["unit"],
        "classes": task["classes"],
        "features": evaluation["features"],
        "model": evaluation["model"],
        "verdict": verdict(evaluation),
        "score": figure(parts["test"]["metrics"]["score"]),
        "validation_score": figure(parts["validation"]["metrics"]["score"]),
        "exempt": _exempt(parts),
        "size": {part: {key: parts[part][key] for key in ("units", "patients")} for part in parts},
        "track": track(parts),
        "differences": [_difference(parts["test"], other) for other in OTHERS],
        "figures": figure_rows(parts),
        "class_figures": _class_rows(task, parts["test"]),
        "subgroups": _subgroups(parts["test"]["subgroups"]),
        "per_patient": _per_patient(parts["test"]),
        "lost_resamples": parts["test"]["resamples_without_a_class"],
        "pictures": {kind: figures.embedded(paths.evaluation(name) / f"{kind}.png") for kind in PICTURES},
        "curves": figures.learning_curves(history),
        "search": figures.search(trials["trials"], trials["best"]),
        "trials": _trials(trials),
        "varied": _varied(trials),
        "hyperparameters": {key.replace("_", " "): _plain(value) for key, value in model["hyperparameters"].items()},
        "seeds": len(model["seeds"]),
        "worst": _worst(paths, name, task, worst),
    }


def track(parts: Mapping[str, Any]) -> dict[str, float] | None:
    """Where things stand on a line from 0 to 100, in per cent of its width; None when the score is undefined."""
    score = parts["test"]["metrics"]["score"]
    if "value" not in score:
        return None
    baselines = parts["test"]["baselines"]
    marks = {"test": score, "validation": parts["validation"]["metrics"]["score"]}
    marks |= {name: baselines[name]["metrics"]["score"] for name in baselines}
    places = {name: round(100 * entry["value"], 2) for name, entry in marks.items() if "value" in entry}
    low, high = (round(100 * score.get(end, score["value"]), 2) for end in ("low", "high"))
    return places | {"low": low, "width": round(high - low, 2)}


def _exempt(parts: Mapping[str, Any]) -> dict[str, Any] | None:
    if "exempt" not in parts:
        return None
    part = parts["exempt"]
    return {"score": figure(part["metrics"]["score"]), "units": part["units"], "patients": part["patients"]}


def _difference(test: Mapping[str, Any], other: str) -> dict[str, str]:
    baseline = test["baselines"][other]
    return {
        "key": other,
        "title": baseline["title"],
        "score": figure(baseline["metrics"]["score"]),
        "difference": figure(baseline["model_minus_this"], sign=True),
        "outcome": compared(baseline["model_minus_this"]),
    }


def figure_rows(parts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, meaning, validation and test of each figure that the task has."""
    return [
        {
            "title": title,
            "meaning": meaning,
            "validation": figure(parts["validation"]["metrics"][key]),
            "test": figure(parts["test"]["metrics"][key]),
        }
        for key, title, meaning in FIGURES
        if key in parts["test"]["metrics"]
    ]


def _class_rows(task: Mapping[str, Any], test: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "units": test["classes"][name]}
        | {kind: figure(test["metrics"][f"{kind}_{slug(name)}"]) for kind in ("precision", "recall", "f1")}
        for name in task["classes"]
    ]


def _subgroups(groups: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "title": GROUPS[kind],
            "rows": [
                {
                    "group": entry["group"],
                    "units": entry["units"],
                    "patients": entry["patients"],
                    "score": entry["note"] if "note" in entry else figure(entry["score"]),
                    "accuracy": figure(entry["accuracy"]) if "note" not in entry else "",
                }
                for entry in entries
            ],
        }
        for kind, entries in groups.items()
    ]


def _per_patient(test: Mapping[str, Any]) -> dict[str, Any] | None:
    if "per_patient" not in test:
        return None
    patients = test["per_patient"]
    return {
        "patients": patients["patients"],
        "note": patients.get("note", ""),
        "figures": [
            {"title": title, "value": figure(patients["metrics"][key])}
            for key, title, _ in FIGURES
            if key in ("score", "sensitivity", "specificity", "roc_auc")
        ],
    }


def _trials(trials: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "number": trial["number"],
            "best": trial["number"] == trials["best"],
            "state": trial["state"],
            "score": points(trial["score"]) if trial.get("score") is not None else _ranked(trial),
            "hyperparameters": ", ".join(
                f"{key.replace('_', ' ')} {_plain(value)}" for key, value in trial["hyperparameters"].items()
            ),
        }
        for trial in trials["trials"]
    ]


def _varied(trials: Mapping[str, Any]) -> list[str]:
    """Names of the hyperparameters that are not the same in all trials."""
    values: dict[str, set[str]] = {}
    for trial in trials["trials"]:
        for key, value in trial["hyperparameters"].items():
            values.setdefault(key.replace("_", " "), set()).add(repr(value))
    return [key for key, found in values.items() if len(found) > 1]


def _ranked(trial: Mapping[str, Any]) -> str:
    """What a trial without a score was chosen by."""
    return f"undefined (likelihood {trial['rank']:.3f})" if trial.get("rank") is not None else "–"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _worst(paths: Paths, name: str, task: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Test recordings with the highest mean loss."""
    table = read_table(paths.evaluation(name) / "predictions.parquet")
    table = table[table["part"] == "test"]
    about = read_table(paths.manifest / "recordings.parquet").set_index("recording_id")
    loss = (
        table.groupby("recording_id")["loss"]
        .mean()
        .reset_index()
        .sort_values(["loss", "recording_id"], ascending=[False, True])
    )
    rows = []
    for entry in loss.head(count).itertuples():
        mine = table[table["recording_id"] == entry.recording_id]
        recording = about.loc[entry.recording_id]
        wrong = mine[mine["class_index"] != mine["predicted"]]
        rows.append(
            {
                "recording": entry.recording_id,
                "patient": recording["patient_id"],
                "about": ", ".join(str(recording[key]) for key in ("device", "location") if _known(recording[key])),
                "loss": f"{entry.loss:.2f}",
                "units": len(mine),
                "wrong": len(wrong),
                "mistakes": _mistakes(wrong, task["classes"]),
            }
        )
    return rows


def _mistakes(wrong: pd.DataFrame, classes: list[str]) -> str:
    """The most frequent confusions, such as ``3 × crackle heard as normal``."""
    pairs = wrong.groupby(["class_index", "predicted"]).size().reset_index(name="count")
    pairs = pairs.sort_values(["count", "class_index", "predicted"], ascending=[False, True, True]).head(2)
    return "; ".join(
        f"{row.count_} × {classes[row.class_index]} taken for {classes[row.predicted]}"
        for row in pairs.rename(columns={"count": "count_"}).itertuples()
    )


def _known(value: Any) -> bool:
    return value is not None and value == value
