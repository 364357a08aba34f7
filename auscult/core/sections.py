"""Sections of ``params.yaml``: one frozen, typed class per stage. An unknown key is an error."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from auscult.core.errors import unknown_name

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1, le=10**6)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the range that every random generator accepts


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SampleParams(Section):
    patients: Annotated[int, Field(ge=8, le=500)]
    seed: Seed


class DownloadParams(Section):
    sample: SampleParams


class ValidateParams(Section):
    min_duration_s: Positive
    max_duration_s: Positive
    max_clipped_share: Share
    silence_dbfs: Annotated[float, Field(ge=-200.0, le=0.0)]
    max_reject_share: Share


class SplitParams(Section):
    official: Literal["corrected", "published", "ignored"]
    test: Annotated[str, Field(pattern=r"^(random|newest|cohort:.+)$")]
    test_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    folds: Annotated[int, Field(ge=2, le=50)]
    seed: Seed


class ResampleParams(Section):
    sample_rate_hz: Annotated[int, Field(ge=2000, le=192000)]
    low_hz: Annotated[float, Field(ge=1.0, allow_inf_nan=False)]
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
    noise_snr_db: Annotated[
        list[Annotated[float, Field(ge=-60.0, le=120.0, allow_inf_nan=False)]], Field(min_length=2, max_length=2)
    ]
    pitch_semitones: Annotated[float, Field(gt=0.0, le=12.0)]
    stretch: Annotated[float, Field(gt=1.0, le=2.0)]
    seed: Seed


class FeaturesParams(Section):
    n_fft: Annotated[int, Field(ge=64, le=65536)]
    window_length: Annotated[int, Field(ge=32, le=65536)]
    hop_length: Annotated[int, Field(ge=16)]
    n_mels: Annotated[int, Field(ge=8, le=256)]
    n_mfcc: Annotated[int, Field(ge=4, le=256)]
    subtract: Literal["nothing", "level", "bands"]
    segment_s: Annotated[float, Field(ge=0.25, le=60.0)]
    window_s: Annotated[float, Field(ge=0.25, le=60.0)]
    window_hop_s: Annotated[float, Field(ge=0.1, le=60.0)]
    padding: Literal["mask", "tile", "zero"]
    augmented: AugmentedParams

    @model_validator(mode="after")
    def _fits(self) -> FeaturesParams:
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc ({self.n_mfcc}) must not exceed n_mels ({self.n_mels})")
        if self.window_length > self.n_fft:
            raise ValueError(f"window_length ({self.window_length}) must not exceed n_fft ({self.n_fft})")
        if self.hop_length > self.window_length:
            raise ValueError(f"hop_length ({self.hop_length}) must not exceed window_length ({self.window_length})")
        if self.window_hop_s > self.window_s:
            raise ValueError(f"window_hop_s ({self.window_hop_s}) must not exceed window_s ({self.window_s})")
        return self


class BalanceParams(Section):
    method: Literal["smote", "oversample", "none"]
    neighbours: Count
    max_ratio: Annotated[float, Field(ge=1.0, le=1000.0)]
    seed: Seed


class PieceParams(Section):
    """Seconds of a row in training, for each unit of a task."""

    segment: Annotated[float, Field(ge=0.1, le=60.0)]
    recording: Annotated[float, Field(ge=0.1, le=60.0)]

    def of(self, unit: Literal["segment", "recording"]) -> float:
        """Return the length for a unit."""
        return self.segment if unit == "segment" else self.recording


class TrainParams(Section):
    trials: Annotated[int, Field(ge=1, le=10000)]
    generation: Annotated[int, Field(ge=1, le=64)]
    hyperparameters: dict[Name, dict[Name, bool | int | float]]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    patience: Count | None
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    piece_s: PieceParams
    spec_augment: bool
    decisions: Annotated[list[Literal["score", "argmax", "rate", "em"]], Field(min_length=1)]
    budget_minutes: Positive | None
    seed: Seed


#: Parameters of ``train`` that an experiment sets for itself: the same ones, each may be absent.
TrainOverrides: Any = create_model(
    "TrainOverrides",
    __base__=Section,
    **{name: (field.rebuild_annotation(), None) for name, field in TrainParams.model_fields.items()},  # type: ignore[call-overload]
)


class Range(Section):
    """Interval of a hyperparameter: uniform, in steps, or uniform in the logarithm; whole numbers if its ends are."""

    low: int | float
    high: int | float
    step: Positive | None = None
    log: bool = False

    @model_validator(mode="after")
    def _rises(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be smaller than high ({self.high})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above zero, and no step")
        return self

    def holds(self, value: float) -> bool:
        """Return whether a value can be drawn."""
        steps = (value - self.low) / self.step if self.step else 0.0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-9


#: Hyperparameter → interval.
SearchSpace = dict[str, Range]


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=20, le=100000)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    seed: Seed


class ReportParams(Section):
    examples: Annotated[int, Field(ge=0, le=10)]
    worst: Annotated[int, Field(ge=0, le=200)]


class Experiment(Section):
    task: Name
    features: Name
    model: Name
    train: TrainOverrides | None = None


class Combination(Section):
    """An experiment that is made of others, which share its features."""

    task: Name
    features: Name
    method: Name
    members: Annotated[list[Name], Field(min_length=1)]


class Params(Section):
    """All of ``params.yaml``, nulls filled for the chosen data set."""

    dataset: Name
    download: DownloadParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]
    split: SplitParams
    resample: ResampleParams
    features: FeaturesParams
    balance: BalanceParams
    search: dict[Name, SearchSpace]
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    experiments: Annotated[dict[Name, Experiment], Field(min_length=1)]
    combinations: dict[Name, Combination]

    @model_validator(mode="after")
    def _members_exist(self) -> Params:
        known: dict[str, Experiment | Combination] = dict(self.experiments)
        for name, combination in self.combinations.items():
            if name in self.experiments:
                raise ValueError(f"combinations.{name}: an experiment has that name")
            for member in combination.members:
                if member not in known:
                    raise ValueError(f"combinations.{name}.members: there is no experiment {member!r} above it")
                if known[member].features != combination.features:
                    raise ValueError(
                        f"combinations.{name}: its member {member} has the features {known[member].features!r},"
                        f" not {combination.features!r}"
                    )
            known[name] = combination
        return self

    @property
    def evaluated(self) -> dict[str, Experiment | Combination]:
        """All experiments, combinations last."""
        return {**self.experiments, **self.combinations}

    def experiment(self, name: str) -> Experiment:
        """Return the experiment of that name; raise ``ParameterError`` if there is none."""
        if name not in self.experiments:
            raise unknown_name("experiment", name, self.experiments, where="params.yaml: experiments")
        return self.experiments[name]

    def training_of(self, name: str) -> TrainParams:
        """Return the parameters of training, with what the experiment sets for itself, and its model's alone."""
        model, own = self.experiment(name).model, self.experiment(name).train
        update = {} if own is None else {key: getattr(own, key) for key in own.model_fields_set}
        chosen = self.train.hyperparameters.get(model, {}) | update.get("hyperparameters", {}).get(model, {})
        update["hyperparameters"] = {model: chosen} if chosen else {}
        return self.train.model_copy(update=update)
