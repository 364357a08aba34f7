"""The section ``flows`` of ``params.yaml``, typed and frozen; an unknown key is an error.

It is apart from :mod:`auscult.core.sections`, on which every stage depends: a change here
makes nothing stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from auscult.core import params as parameters
from auscult.core.errors import ParameterError, unknown_name
from auscult.core.sections import Count, Name, Params, Positive, Section, Seed, Share

#: Figures of :mod:`auscult.evaluation.metrics` that may decide: higher is better, and a constant answer is no good.
Score = Literal["score", "sprsound_score", "balanced_accuracy", "roc_auc", "f1_macro", "mcc"]


class RetrainSettings(Section):
    experiments: Annotated[list[Name], Field(min_length=1)]
    retry_delay_s: Annotated[float, Field(ge=0.0, le=3600.0)]


class GateSettings(Section):
    score: Score
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)]
    resamples: Annotated[int, Field(ge=100, le=10**5)]
    seed: Seed
    min_patients: Annotated[int, Field(ge=4)]
    margin: Annotated[float, Field(ge=0.0, le=0.2)]
    cheaper: Annotated[float, Field(gt=1.0, allow_inf_nan=False)]
    min_recall: Share
    max_calibration_error: Share
    max_latency_ms: Positive
    max_size_mb: Positive


class MonitorSettings(Section):
    min_recordings: Count
    max_distance: Share
    max_p_value: Share
    max_class_psi: Positive
    max_rejected_more: Share


class CompareSettings(Section):
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)]
    resamples: Annotated[int, Field(ge=100, le=10**5)]
    seed: Seed
    min_patients: Annotated[int, Field(ge=4)]


class Settings(Section):
    """All of the section ``flows``."""

    retrain: RetrainSettings
    gate: GateSettings
    monitor: MonitorSettings
    compare: CompareSettings


def load(root: Path = Path()) -> tuple[Params, Settings]:
    """The whole of ``params.yaml`` below *root* and, checked as well, its section ``flows``.

    Raises
    ------
    ParameterError
        Naming the key, what is wrong with it, and what would be right.
    """
    params = parameters.load(root / parameters.FILE)
    return params, check(params)


def check(params: Params) -> Settings:
    """The section ``flows`` of parameters that are read already; raises as :func:`load` does."""
    try:
        settings = Settings.model_validate(params.flows)
    except ValidationError as error:
        problems = [
            f"{'.'.join(['flows', *(str(key) for key in problem['loc'])])}: {_words(problem['type'], problem['msg'])}"
            for problem in error.errors()
        ]
        raise ParameterError(
            "; ".join(problems), where=str(parameters.FILE), next_step=f"mend {parameters.FILE} and run it again"
        ) from error
    for name in settings.retrain.experiments:
        if name not in params.experiments:
            where = f"{parameters.FILE}: flows.retrain.experiments"
            raise unknown_name("experiment", name, params.experiments, where=where, next_step="name one of these")
    return settings


def _words(kind: str, message: str) -> str:
    return "there is no such parameter" if kind == "extra_forbidden" else message[0].lower() + message[1:]
