"""The report's section on one experiment: metrics as text, marks on the score axis, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auscult.combination.methods import method
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table
from auscult.reporting.report import figures
from auscult.reporting.report.dataset import device_and_location
from auscult.reporting.report.verdict import BASELINES, compared, metric_text, verdict
from auscult.reporting.scale import points

if TYPE_CHECKING:
    import pandas as pd

PLOTS = {
    "confusion": "Confusion matrix on the test part: share of each true class by predicted class",
    "roc": "ROC curve on the test part: model, gradient boosting and metadata only",
    "reliability": "Reliability on the test part: mean predicted probability against observed fraction",
}
#: Rows of the table of metrics: name, title, meaning.
METRICS = (
    ("score", "Score", "mean of sensitivity and specificity (ICBHI)"),
    ("sensitivity", "Sensitivity", "abnormal units predicted as their exact class"),
    ("detection_sensitivity", "Detection", "abnormal units predicted as any abnormal class"),
    ("specificity", "Specificity", "normal units predicted as normal"),
    ("average_score", "Published score", "SPRSound's AS: as the score, without poor quality"),
    ("sprsound_score", "SPRSound score", "mean of the published arithmetic and harmonic mean"),
    ("accuracy", "Accuracy", "share of correct predictions; favours the frequent class"),
    ("balanced_accuracy", "Balanced accuracy", "mean recall of the classes"),
    ("precision_macro", "Precision, macro", "mean over classes"),
    ("f1_macro", "F1, macro", "mean over classes"),
    ("roc_auc", "ROC-AUC", "of the abnormal class; several classes: mean of one against the rest"),
    ("roc_auc_abnormal", "ROC-AUC, normal against rest", "all abnormal classes as one"),
    ("pr_auc", "PR-AUC", "average precision; averaged as ROC-AUC"),
    ("mcc", "MCC × 100", "Matthews' coefficient, −100 to 100"),
    ("brier", "Brier × 100", "squared error of the probabilities, lower is better"),
    (
        "calibration_error",
        "Calibration error",
        "mean gap between predicted probability and observed fraction, lower is better",
    ),
)
SUBGROUPS = {"device": "Device", "location": "Location on the chest", "period": "Period", "age": "Age", "sex": "Sex"}


def describe(paths: Paths, name: str, worst: int, *, combined: bool) -> dict[str, Any]:
    """Return everything that the page shows of one experiment.

    Parameters
    ----------
    worst
        Recordings with the highest loss to list.
    combined
        Whether it is a combination of other experiments.
    """
    evaluation = read_json(paths.evaluation(name) / "evaluation.json")
    task, parts = evaluation["task"], evaluation["parts"]
    return {
        "name": name,
        "task": task["name"],
        "title": task["title"] or task["name"],
        "unit": task["unit"],
        "parts": parts,
        "features": evaluation["features"],
        "model": evaluation["model"],
        "verdict": verdict(evaluation),
        "score": metric_text(parts["test"]["metrics"]["score"]),
        "validation_score": metric_text(parts["validation"]["metrics"]["score"]),
        "worst_cohort": worst_cohort(evaluation["held_out_cohorts"]),
        "cohorts": evaluation["held_out_cohorts"],
        "rule": evaluation["decision"]["rule"],
        "rules": [_rule(name, entry) for name, entry in evaluation["decision"]["rules"].items()],
        "track": track(parts),
        "differences": [_difference(parts["test"], name) for name in BASELINES],
        "plots": {kind: figures.embedded(paths.evaluation(name) / f"{kind}.png") for kind in PLOTS},
        **(_members(paths, name) if combined else _training(paths, name)),
        "worst": _worst(paths, name, task, worst),
    }


def _training(paths: Paths, name: str) -> dict[str, Any]:
    import pandas as pd

    model, trials = (read_json(paths.model(name) / f"{file}.json") for file in ("model", "trials"))
    history = pd.read_csv(paths.model(name) / "history.csv")
    return {
        "members": [],
        # A model that is fitted in one go has no curve.
        "learning_curves": figures.learning_curves(history) if history["epoch"].nunique() > 1 else None,
        "search": figures.search(trials["trials"], trials["best"]),
        "trials": _trials(trials),
        "varied": _varied(trials),
        "networks": len(model["folds"]),
    }


def _members(paths: Paths, name: str) -> dict[str, Any]:
    """Return how a combination works, in words, and its members, with the range of their weights if it weighs them."""
    model = read_json(paths.all_combined / name / "model.json")
    how = (method(model["model"]).__doc__ or "").partition("\n")[0]
    fitted = [entry["combined"] for entry in model["folds"]]
    members = [{"name": member, "weights": ""} for member in model["members"]]
    if model["model"] == "ensemble":
        for number, member in enumerate(members):
            weights = [each["weights"][number] for each in fitted]
            member["weights"] = f"{min(weights):.2f} to {max(weights):.2f}"
    return {
        "how": how,
        "members": members,
        "learning_curves": None,
        "search": None,
        "trials": [],
        "varied": [],
        "networks": len(fitted),
    }


def worst_cohort(cohorts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """Return the lowest score on a cohort of the development part as text, ``71.3 (device Meditron)``, if any is large.

    Cohorts of too few patients, and those without a normal or an abnormal unit, do not count.
    """
    large = [
        (entry["score"]["value"], entry["group"] if kind == "period" else f"{kind} {entry['group']}")
        for kind, entries in cohorts.items()
        for entry in entries
        if "note" not in entry and "low" in entry["score"]
    ]
    return None if not large else f"{points(min(large)[0])} ({min(large)[1]})"


def _rule(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    def shown(key: str) -> str:
        return "undefined" if entry[key] is None else points(entry[key])

    cohort = "no cohort is large enough" if entry["cohort"] is None else f"{shown('worst_cohort')} ({entry['cohort']})"
    return {"name": name, "out_of_fold": shown("out_of_fold"), "worst_cohort": cohort}


def track(parts: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the scores of model and baselines on an axis from 0 to 100; None when the test score is undefined."""
    score = parts["test"]["metrics"]["score"]
    if "value" not in score:
        return None
    baselines = parts["test"]["baselines"]
    marks = {"test": score, "validation": parts["validation"]["metrics"]["score"]}
    marks |= {name: baselines[name]["metrics"]["score"] for name in baselines}
    positions = {name: round(100 * entry["value"], 2) for name, entry in marks.items() if "value" in entry}
    low, high = (round(100 * score.get(end, score["value"]), 2) for end in ("low", "high"))
    return positions | {"low": low, "width": round(high - low, 2)}


def _difference(test: Mapping[str, Any], name: str) -> dict[str, str]:
    baseline = test["baselines"][name]
    return {
        "key": name,
        "title": baseline["title"],
        "score": metric_text(baseline["metrics"]["score"]),
        "difference": metric_text(baseline["model_minus_this"], sign=True),
        "outcome": compared(baseline["model_minus_this"]),
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
    """Return the hyperparameters that differ between trials."""
    values: dict[str, set[str]] = {}
    for trial in trials["trials"]:
        for key, value in trial["hyperparameters"].items():
            values.setdefault(key.replace("_", " "), set()).add(repr(value))
    return [key for key, found in values.items() if len(found) > 1]


def _ranked(trial: Mapping[str, Any]) -> str:
    """Return the likelihood that ranks a trial whose score is undefined."""
    return f"undefined (likelihood {trial['rank']:.3f})" if trial.get("rank") is not None else "–"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _worst(paths: Paths, name: str, task: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the *count* test recordings with the highest mean loss."""
    table = read_table(paths.evaluation(name) / "predictions.parquet")
    table = table[table["part"] == "test"]
    about = read_table(paths.manifest / "recordings.parquet").set_index("recording_id")
    losses = table.groupby("recording_id")["loss"].mean().sort_index().sort_values(ascending=False, kind="stable")
    rows = []
    for recording_id, loss in losses.head(count).items():
        units = table[table["recording_id"] == recording_id]
        recording = about.loc[recording_id]
        wrong = units[units["class_index"] != units["predicted"]]
        rows.append(
            {
                "recording": recording_id,
                "patient": recording["patient_id"],
                "about": device_and_location(recording),
                "loss": f"{loss:.2f}",
                "units": len(units),
                "wrong": len(wrong),
                "mistakes": _mistakes(wrong, task["classes"]),
            }
        )
    return rows


def _mistakes(wrong: pd.DataFrame, classes: list[str]) -> str:
    """Return the two most frequent confusions, such as ``3 × crackle predicted as normal``."""
    pairs = wrong.groupby(["class_index", "predicted"]).size().reset_index(name="units")
    pairs = pairs.sort_values(["units", "class_index", "predicted"], ascending=[False, True, True]).head(2)
    return "; ".join(
        f"{row.units} × {classes[row.class_index]} predicted as {classes[row.predicted]}" for row in pairs.itertuples()
    )
