"""Sections of ``params.yaml``: one frozen, typed class per stage. An unknown key is an error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    max_ratio: Annotated[float, Field(ge=1.0, le=1000.0)]
    seed: Seed


class TrainParams(Section):
    trials: Annotated[int, Field(ge=1, le=10000)]
    generation: Annotated[int, Field(ge=1, le=64)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    patience: Count
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    seeds: Annotated[int, Field(ge=1, le=50)]
    spec_augment: bool
    class_weights: bool
    budget_minutes: Positive | None
    seed: Seed


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


class Params(Section):
    """All of ``params.yaml``, nulls filled for the chosen data set."""

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
        """Return the experiment of that name; raise ``ParameterError`` if there is none."""
        if name not in self.experiments:
            raise unknown_name("experiment", name, self.experiments, where="params.yaml: experiments")
        return self.experiments[name]
