"""``flows/settings.yaml``, typed and frozen: how models are retrained, judged, monitored and compared.

No stage of the pipeline depends on it or on this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from auscult.core import params as parameters
from auscult.core.errors import ParameterError, unknown_name
from auscult.core.sections import Count, Name, Params, Positive, Section, Seed, Share

FILE = Path("flows/settings.yaml")
#: Metrics of :mod:`auscult.evaluation.metrics` that may decide: higher is better, and a constant answer scores badly.
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
    seed_deviation: Annotated[float, Field(ge=0.0, le=0.5)]
    false_promotions: Annotated[float, Field(ge=0.05, le=100.0)]
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
    """Everything in ``flows/settings.yaml``."""

    retrain: RetrainSettings
    gate: GateSettings
    monitor: MonitorSettings
    compare: CompareSettings


def load(root: Path = Path()) -> tuple[Params, Settings]:
    """Return the parameters of the pipeline and the settings of the flows below *root*, both checked.

    Raises
    ------
    ParameterError
        A key or a value of either file is wrong; the message names the key and what would be right.
    """
    params = parameters.load(root / parameters.FILE)
    settings = _read(root / FILE)
    for name in settings.retrain.experiments:
        if name not in params.experiments:
            where = f"{FILE}: retrain.experiments"
            raise unknown_name("experiment", name, params.experiments, where=where, next_step="name one of these")
    return params, settings


def _read(path: Path) -> Settings:
    try:
        return Settings.model_validate(yaml.safe_load(parameters.read(path)))
    except yaml.YAMLError as error:
        problems = [f"{FILE} is not valid YAML: {' '.join(str(error).split())}"]
        raise _wrong(problems) from error
    except ValidationError as error:
        raise _wrong([_describe(problem) for problem in error.errors()]) from error


def _wrong(problems: list[str]) -> ParameterError:
    return ParameterError("; ".join(problems), where=str(FILE), next_step=f"correct {FILE} and run the command again")


def _describe(problem: Any) -> str:
    """Return one problem found by pydantic as text: the dotted key and what would be right."""
    *sections, key = [str(key) for key in problem["loc"]] or [""]
    name = ".".join([*sections, key])
    if problem["type"] == "extra_forbidden":
        section: Any = Settings.model_fields[sections[0]].annotation if sections else Settings
        return str(unknown_name("parameter", name, (".".join([*sections, each]) for each in section.model_fields)).what)
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
