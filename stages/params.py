"""Typed, frozen view of ``params.yaml``: one class per stage; an unknown key is an error.

``load()`` reads the whole file, so a misspelt key in any section stops every stage
before it does anything. Values left ``null`` are filled from ``by_dataset``.
"""

from __future__ import annotations

import copy
import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.errors import ParameterError, unknown_name

FILE = Path("params.yaml")

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every generator takes; some refuse more


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SampleParams(Section):
    patients: Annotated[int, Field(ge=8, le=500)]
    seed: Seed


class DownloadParams(Section):
    sample: SampleParams


class ValidateParams(Section):
    min_duration_s: Positive
    max_clipped_share: Share
    silence_dbfs: Annotated[float, Field(ge=-200.0, le=0.0)]
    max_reject_share: Share


class SplitParams(Section):
    official: Literal["corrected", "published", "ignored"]
    test_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    folds: Annotated[int, Field(ge=2, le=50)]
    validation_fold: Annotated[int, Field(ge=0)]
    seed: Seed

    @model_validator(mode="after")
    def _fold_exists(self) -> SplitParams:
        if self.validation_fold >= self.folds:
            raise ValueError(f"validation_fold is {self.validation_fold}, but folds count from 0 to {self.folds - 1}")
        return self


class ResampleParams(Section):
    sample_rate_hz: Annotated[int, Field(ge=2000, le=192000)]
    low_hz: Positive
    high_hz: Positive
    order: Annotated[int, Field(ge=1, le=12)]

    @model_validator(mode="after")
    def _band_fits(self) -> ResampleParams:
        if not self.low_hz < self.high_hz < self.sample_rate_hz / 2:
            raise ValueError(
                f"the band {self.low_hz} to {self.high_hz} Hz must rise and end below half the sample rate"
                f" ({self.sample_rate_hz / 2} Hz)"
            )
        return self


class AugmentedParams(Section):
    noise_snr_db: Annotated[list[float], Field(min_length=2, max_length=2)]
    pitch_semitones: Annotated[float, Field(gt=0.0, le=12.0)]
    stretch: Annotated[float, Field(gt=1.0, le=2.0)]
    seed: Seed


class FeaturesParams(Section):
    n_fft: Annotated[int, Field(ge=64)]
    hop_length: Annotated[int, Field(ge=16)]
    n_mels: Annotated[int, Field(ge=8, le=256)]
    n_mfcc: Annotated[int, Field(ge=4, le=256)]
    segment_s: Annotated[float, Field(ge=0.25, le=60.0)]
    window_s: Annotated[float, Field(ge=0.25, le=60.0)]
    window_hop_s: Annotated[float, Field(ge=0.1, le=60.0)]
    padding: Literal["mask", "tile", "zero"]
    augmented: AugmentedParams

    @model_validator(mode="after")
    def _fits(self) -> FeaturesParams:
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc ({self.n_mfcc}) must not exceed n_mels ({self.n_mels})")
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length ({self.hop_length}) must not exceed n_fft ({self.n_fft})")
        if self.window_hop_s > self.window_s:
            raise ValueError(f"window_hop_s ({self.window_hop_s}) must not exceed window_s ({self.window_s})")
        return self


class BalanceParams(Section):
    method: Literal["smote", "oversample", "none"]
    neighbours: Count
    max_ratio: Annotated[float, Field(ge=1.0)]
    seed: Seed


class TrainParams(Section):
    trials: Annotated[int, Field(ge=1, le=10000)]
    generation: Annotated[int, Field(ge=1, le=64)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    patience: Count
    batch_size: Annotated[int, Field(ge=2)]
    seeds: Annotated[int, Field(ge=1, le=50)]
    spec_augment: bool
    class_weights: bool
    budget_minutes: Positive | None
    seed: Seed


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=20)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    seed: Seed


class ReportParams(Section):
    examples: Annotated[int, Field(ge=0, le=10)]
    worst: Annotated[int, Field(ge=0, le=200)]


class Experiment(Section):
    task: Name
    features: Name
    model: Name


class Params(Section):
    """Everything in ``params.yaml``, nulls filled for the chosen data set."""

    dataset: Name
    download: DownloadParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]
    split: SplitParams
    resample: ResampleParams
    features: FeaturesParams
    balance: BalanceParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    experiments: Annotated[dict[Name, Experiment], Field(min_length=1)]

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name.

        Raises
        ------
        ParameterError
            There is none; the message names those that there are.
        """
        if name not in self.experiments:
            raise unknown_name("experiment", name, self.experiments, where=f"{FILE}: experiments")
        return self.experiments[name]


def load(path: Path = FILE) -> Params:
    """Read, fill and check the parameters.

    Raises
    ------
    ParameterError
        Naming the key, what is wrong with it, and what would be right.
    """
    return parse(read(path), where=str(path))


def read(path: Path = FILE) -> str:
    """The file's text, line ends as they are, so that it can be written back unchanged.

    Raises
    ------
    ParameterError
        There is no such file, or it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise ParameterError(
            f"there is no {path} here", where=str(Path.cwd()), next_step="run it from the repository's root"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ParameterError(
            f"{path} is not UTF-8: {error.reason} in line {line}", where=f"{path}:{line}", next_step="save it as UTF-8"
        ) from error


def parse(text: str, *, where: str = str(FILE)) -> Params:
    """Fill and check parameters that are no file yet; raises as :func:`load` does."""
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise ParameterError(
            f"{where} is not valid YAML: {' '.join(str(error).split())}", where=where, next_step=f"mend {where}"
        ) from error
    if not isinstance(raw, dict):
        raise ParameterError(f"{where} must hold sections", where=where, next_step=f"git checkout {where}")
    return resolve(raw, where=where)


def resolve(raw: dict[str, Any], *, where: str = str(FILE)) -> Params:
    """Fill the nulls of parsed parameters from ``by_dataset`` and check everything."""
    data = copy.deepcopy(raw)
    defaults = _mapping(data.pop("by_dataset", None), "by_dataset", where)
    dataset = data.get("dataset")
    if isinstance(dataset, str) and dataset not in defaults:
        raise unknown_name(
            "data set",
            dataset,
            defaults,
            where=f"{where}: dataset",
            next_step=f"name one of these, or add a section for {dataset!r} under by_dataset",
        )
    for name in defaults:
        if name != dataset:
            # A value that is given for one data set need not fit together with another's defaults.
            _check(_fill(data, defaults, name), f"{where} (with by_dataset.{name})", combinations=False)
    _check(filled := _fill(data, defaults, str(dataset)), where)
    return Params.model_validate(filled)


def _fill(data: dict[str, Any], defaults: dict[str, Any], dataset: str) -> dict[str, Any]:
    """A copy of *data* in which nulls have the data set's values; only nulls are replaced."""
    filled = copy.deepcopy(data)
    place = f"by_dataset.{dataset}"
    for section, values in _mapping(defaults.get(dataset), place, str(FILE)).items():
        target = filled.get(section)
        for key, value in _mapping(values, f"{place}.{section}", str(FILE)).items():
            if section not in _fields_at([]) or key not in _fields_at([section]):
                raise ParameterError(
                    f"{place}.{section}.{key} fills no parameter: there is no {section}.{key}",
                    where=f"{FILE}: {place}.{section}",
                    next_step="remove it, or mend its spelling",
                )
            if isinstance(target, dict) and key in target and target[key] is None:
                target[key] = value
    return filled


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    """*value*, which must map names to something; null counts as empty."""
    if value is not None and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise ParameterError(
            f"{name} is {reprlib.repr(value)}: it must hold names, each with its values",
            where=where,
            next_step=f"mend {FILE}",
        )
    return value or {}


def _check(data: dict[str, Any], where: str, *, combinations: bool = True) -> None:
    """Refuse what is wrong, all of it at once; where not *combinations*, only what is wrong by itself."""
    try:
        Params.model_validate(data)
    except ValidationError as error:
        found = [problem for problem in error.errors() if combinations or problem["type"] != "value_error"]
        if not found:
            return
        problems = [_describe(problem, data) for problem in found]
        what = problems[0] if len(problems) == 1 else "several parameters are wrong:\n  - " + "\n  - ".join(problems)
        raise ParameterError(what, where=where, next_step=f"mend {FILE} and run the same command again") from error


def _describe(problem: Any, data: dict[str, Any]) -> str:
    """One problem of pydantic's, in words: the dotted key, its value, what would be right."""
    keys = [str(key) for key in problem["loc"] if key != "[key]"]
    name = ".".join(keys)
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _fields_at(keys[:-1])
        close = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        hint = f"; did you mean {'.'.join([*keys[:-1], close[0]])!r}?" if close else f"; there are: {', '.join(known)}"
        return f"unknown parameter {name!r}{hint}"
    if kind == "missing":
        return f"parameter {name!r} is missing"
    if kind == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    if problem["input"] is None:
        return f"{name} is null, and by_dataset has no value for data set {data.get('dataset')!r}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{name} is {problem['input']!r}: {message}"


def _fields_at(keys: list[str]) -> list[str]:
    """Names of the parameters in a section given by its path."""
    section: Any = Params
    for key in keys:
        fields = {field.alias or name: field for name, field in section.model_fields.items()}
        if key not in fields:
            return sorted(Experiment.model_fields)
        section = fields[key].annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return sorted(Experiment.model_fields)
    return sorted(field.alias or name for name, field in section.model_fields.items())
