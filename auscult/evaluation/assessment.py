"""Everything that is said of one experiment: the content of ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.evaluation.baselines import TITLES
from auscult.evaluation.bootstrap import (
    DIGITS,
    difference,
    figures_with_intervals,
    patient_weights,
    resamples_without_a_class,
)
from auscult.evaluation.metrics import Answers, confusions
from auscult.evaluation.subgroups import by_subgroup

if TYPE_CHECKING:
    import pandas as pd

    from auscult.core.sections import EvaluateParams
    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel

MODEL = "model"


@dataclass(frozen=True)
class Judged:
    """All units of an experiment with everybody's answers, in one order.

    Attributes
    ----------
    table
        One row per unit: the columns of ``auscult.features.examples``.
    answers
        ``model`` and each baseline → its answers for the same units.
    """

    table: pd.DataFrame
    answers: Mapping[str, Answers]

    def of_part(self, part: str) -> Judged:
        """Only the units of one part."""
        mask = (self.table["part"] == part).to_numpy()
        return Judged(
            self.table[mask].reset_index(drop=True), {name: each.where(mask) for name, each in self.answers.items()}
        )


def assess(judged: Judged, model: TrainedModel, params: EvaluateParams) -> dict[str, Any]:
    """Everything that is said of the validation, test and, where there is one, exempt part.

    The test part is shown: no choice of model, threshold or baseline has seen it. The
    exempt part (what a publisher's split has on both sides) stands apart.
    """
    parts = ["validation", "test"] + (["exempt"] if (judged.table["part"] == "exempt").any() else [])
    return {
        "task": model.task.to_json(),
        "intervals": {
            "method": "percentile bootstrap of patients",
            "resamples": params.bootstrap,
            "confidence": params.confidence,
        },
        "parts": {part: assess_part(judged.of_part(part), part, model, params) for part in parts},
    }


def assess_part(judged: Judged, part: str, model: TrainedModel, params: EvaluateParams) -> dict[str, Any]:
    """Figures, baselines, differences, subgroups and patients of one part, as plain data."""
    answers = judged.answers[MODEL]
    weights = patient_weights(answers.patients, params.bootstrap, params.seed)
    everyone = {
        name: figures_with_intervals(each, weights, params.confidence, part) for name, each in judged.answers.items()
    }
    result: dict[str, Any] = {
        "units": len(answers),
        "recordings": int(judged.table["recording_id"].nunique()),
        "patients": len(set(answers.patients)),
        "classes": _counts(answers),
        "resamples_without_a_class": resamples_without_a_class(answers, weights),
        "metrics": everyone[MODEL][0],
        "confusion": confusions(answers, np.ones((1, len(answers))))[0].astype(int).tolist(),
        "baselines": {
            name: {
                "title": TITLES[name],
                "metrics": figures,
                "model_minus_this": difference(everyone[MODEL], (figures, resampled), params.confidence, answers),
            }
            for name, (figures, resampled) in everyone.items()
            if name != MODEL
        },
        "subgroups": by_subgroup(answers, judged.table, params.bootstrap, params.confidence, params.seed, part),
    }
    if answers.task.unit == "recording":
        result["per_patient"] = _per_patient(answers, model, params, part)
    return result


def _counts(answers: Answers) -> dict[str, int]:
    counts = np.bincount(answers.y, minlength=len(answers.task.classes)).tolist()
    return dict(zip(answers.task.classes, counts, strict=True))


def _per_patient(answers: Answers, model: TrainedModel, params: EvaluateParams, part: str) -> dict[str, Any]:
    """The figures with one probability per patient: the mean over the patient's recordings."""
    patients, mixed = by_patient(answers, model)
    weights = patient_weights(patients.patients, params.bootstrap, params.seed)
    figures, _ = figures_with_intervals(patients, weights, params.confidence, part)
    result: dict[str, Any] = {"patients": len(patients), "classes": _counts(patients), "metrics": figures}
    if mixed:
        result["note"] = (
            f"{mixed} of {len(patients)} patients have recordings of several classes; "
            "each counts as the class of most of them, of equal ones an abnormal one"
        )
    return result


def by_patient(answers: Answers, model: TrainedModel) -> tuple[Answers, int]:
    """One answer per patient, and how many patients have recordings of several classes."""
    names, codes = np.unique(np.asarray(answers.patients, dtype=str), return_inverse=True)
    k = len(answers.task.classes)
    sums, votes = np.zeros((len(names), k)), np.zeros((len(names), k))
    np.add.at(sums, codes, answers.probabilities)
    np.add.at(votes, (codes, answers.y), 1.0)
    probabilities = sums / votes.sum(axis=1, keepdims=True)
    mixed = int(((votes > 0).sum(axis=1) > 1).sum())
    votes[:, answers.task.normal_index] -= 0.5  # a tie goes to the abnormal class
    return Answers(
        answers.task,
        votes.argmax(axis=1).astype(np.int64),
        model.decide(probabilities),
        probabilities,
        names.astype(object),
    ), mixed


def flat_metrics(part: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a part for ``dvc metrics``: undefined ones left out."""
    flat = {name: figure["value"] for name, figure in part["metrics"].items() if "value" in figure}
    for name, baseline in part["baselines"].items():
        if "value" in baseline["metrics"]["score"]:
            flat[f"{name}_score"] = baseline["metrics"]["score"]["value"]
    return {name: round(value, DIGITS) for name, value in flat.items()}


def prediction_columns(task: Task, slug_of: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Columns of predictions.parquet, one row per unit of validation, test and exempt."""
    columns = {
        "unit_id": ("string", "segment_id or recording_id"),
        "recording_id": ("string", "the recording"),
        "patient_id": ("string", "its patient"),
        "part": ("string", "validation, test or exempt"),
        "start_s": ("float64", "begin of the segment in the recording; 0 for a recording"),
        "end_s": ("float64", "end of the segment, or the recording's duration"),
        "class_index": ("int64", "true class, as the task numbers them"),
        "predicted": ("int64", "class that the model answers"),
    }
    columns |= {f"p_{slug_of[name]}": ("float64", f"probability of {name!r}, calibrated") for name in task.classes}
    columns["loss"] = ("float64", "cross-entropy in nats, -log p(true class)")
    columns |= {name: ("int64", f"class that the baseline answers: {title}") for name, title in TITLES.items()}
    return columns


def predictions(judged: Judged, slug_of: Mapping[str, str]) -> pd.DataFrame:
    """The table of :func:`prediction_columns`."""
    table, model = judged.table, judged.answers[MODEL]
    out = table[["unit_id", "recording_id", "patient_id", "part", "start_s", "end_s", "class_index"]].copy()
    if model.task.unit == "recording":
        out["start_s"], out["end_s"] = 0.0, table["duration_s"]
    out["predicted"] = model.predicted
    for index, name in enumerate(model.task.classes):
        out[f"p_{slug_of[name]}"] = model.probabilities[:, index].round(9)
    out["loss"] = model.losses.round(9)
    for name in TITLES:
        out[name] = judged.answers[name].predicted
    return out
