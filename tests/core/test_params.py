"""The committed parameters are valid; an error names the wrong key and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from auscult import datasets
from auscult.core import params
from auscult.core.errors import ParameterError

ROOT = Path(__file__).resolve().parents[2]
#: How the line of train.trials looks after a change.
(EMPTY,) = re.findall(r"^  trials:.*", (ROOT / "params.yaml").read_text(), re.MULTILINE)
TRIALS = EMPTY.replace("trials:   ", "trials: 50")


@pytest.fixture
def raw() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("dataset", datasets.names())
def test_shipped_parameters_are_complete_for_every_data_set(raw: dict[str, Any], dataset: str) -> None:
    raw["dataset"] = dataset
    loaded = params.resolve(raw)
    assert loaded.train.trials == raw["by_dataset"][dataset]["train"]["trials"]
    assert list(loaded.experiments) == list(raw["experiments"])


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("train.trials=50", TRIALS),
        ("dataset=icbhi", "dataset: icbhi                  # sample, icbhi or sprsound: a file in auscult/datasets/"),
        ("resample.high_hz=1800.5", "  high_hz: 1800.5"),
        ("features.augmented.noise_snr_db=[5.0,30.0]", "    - 5.0"),
        (
            "experiments.sounds_logmel_cnn2d.model=cnn1d",
            "  sounds_logmel_cnn2d: {task: sounds, features: logmel, model: cnn1d}",
        ),
        ("by_dataset.icbhi.train.epochs=9", "    train: {trials: 2, epochs: 9, hyperparameters: {}}"),
        ("search.cnn2d.dropout.high=0.4", "    dropout: {low: 0.1, high: 0.4, step: 0.1}"),
        ("train.budget_minutes=null", ""),
    ],
)
def test_dvc_exp_run_changes_one_line(tmp_path: Path, override: str, changed: str) -> None:
    """As ``dvc exp run -S`` does; it writes the whole file anew."""
    before = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(before)
    apply_overrides(tmp_path / "params.yaml", [override])
    after = (tmp_path / "params.yaml").read_text().splitlines()
    lines = [new for old, new in zip(before.splitlines(), after, strict=True) if old != new]
    assert lines == ([changed] if changed else [])


def test_an_explicit_value_takes_precedence_over_by_dataset(raw: dict[str, Any]) -> None:
    raw["train"]["trials"] = 50
    assert params.resolve(raw).train.trials == 50


def test_every_data_set_fills_the_same_parameters(raw: dict[str, Any]) -> None:
    keys = {
        name: {(section, key) for section, values in sections.items() for key in values}
        for name, sections in raw["by_dataset"].items()
    }
    assert len({frozenset(value) for value in keys.values()}) == 1, keys


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("train", "trails", 3, "unknown parameter 'train.trails'; did you mean 'train.trials'"),
        ("train", "epochs", 0, "train.epochs is 0"),
        ("train", "epochs", "6", "train.epochs is '6'"),
        ("train", "spec_augment", 1, "train.spec_augment is 1"),
        ("split", "validation_fold", 5, "unknown parameter 'split.validation_fold'"),
        ("train", "patience", 0, "train.patience is 0"),
        ("features", "window_length", 1024, "window_length (1024) must not exceed n_fft (512)"),
        ("features", "hop_length", 257, "hop_length (257) must not exceed window_length (256)"),
        ("features", "padding", "mirror", "features.padding is 'mirror'"),
        ("features", "n_mfcc", 65, "n_mfcc (65)"),
        ("resample", "low_hz", 5000.0, "resample: "),
        ("balance", "method", None, "balance.method is empty"),
        ("split", "seed", -1, "split.seed is -1"),
        ("train", "seed", 2**32, "train.seed is 4294967296"),
        ("balance", "max_ratio", float("inf"), "balance.max_ratio is inf"),
        ("features", "n_fft", 10**9, "features.n_fft is 1000000000"),
        ("evaluate", "bootstrap", 10**9, "evaluate.bootstrap is 1000000000"),
        ("resample", "low_hz", 1e-9, "resample.low_hz is 1e-09"),
        ("resample", "high_hz", float("nan"), "resample.high_hz is nan"),
    ],
)
def test_a_wrong_parameter_is_named(raw: dict[str, Any], section: str, key: str, value: object, expected: str) -> None:
    raw[section][key] = value
    with pytest.raises(ParameterError) as caught:
        params.resolve(raw)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (
            {"epoch": 3},
            "unknown parameter 'experiments.demo.train.epoch'; did you mean 'experiments.demo.train.epochs'",
        ),
        ({"epochs": 0}, "experiments.demo.train.epochs is 0"),
        ({"epochs": None}, "experiments.demo.train.epochs"),
        ({"spec_augment": "yes"}, "experiments.demo.train.spec_augment is 'yes'"),
        (3, "experiments.demo.train is 3"),
    ],
)
def test_a_wrong_parameter_of_an_experiment_is_named(raw: dict[str, Any], own: object, expected: str) -> None:
    raw["experiments"]["demo"] = {"task": "sounds", "features": "mfcc", "model": "cnn2d", "train": own}
    with pytest.raises(ParameterError) as caught:
        params.resolve(raw)
    assert expected in str(caught.value)


def test_an_experiment_sets_its_own_parameters_of_training_and_takes_the_others(raw: dict[str, Any]) -> None:
    raw["experiments"]["demo"] = {
        "task": "sounds",
        "features": "mfcc",
        "model": "cnn2d",
        "train": {"epochs": 77, "patience": None},
    }
    raw["train"]["patience"] = 4
    loaded = params.resolve(raw)
    common = loaded.train.model_dump()
    assert common["epochs"] != 77
    assert loaded.training_of("demo").model_dump() == common | {"epochs": 77, "patience": None}
    assert loaded.training_of("sounds_logmel_cnn2d") == loaded.train


def test_an_experiment_may_set_a_parameter_that_is_a_section(raw: dict[str, Any]) -> None:
    raw["experiments"]["sounds_logmel_cnn2d"]["train"] = {"piece_s": {"segment": 1.5, "recording": 4.0}}
    loaded = params.resolve(raw)
    assert loaded.training_of("sounds_logmel_cnn2d").piece_s.of("segment") == 1.5
    assert loaded.training_of("abnormal_logmel_cnn2d").piece_s == loaded.train.piece_s


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ({"low": 0.1, "high": 0.5, "step": 0}, "greater than 0"),
        ({"low": 0.5, "high": 0.1}, "must be smaller than high"),
        ({"low": 0.0, "high": 0.1, "log": True}, "above zero"),
        ({"low": 0.1, "high": 0.5, "step": 0.1, "log": True}, "no step"),
        ({"low": 0.1}, "high"),
        ({"low": 0.1, "hi": 0.5}, "hi"),
        ([], "[]"),
        (0.3, "0.3"),
    ],
)
def test_a_wrong_range_is_named(raw: dict[str, Any], space: object, reason: str) -> None:
    raw["search"]["cnn2d"]["dropout"] = space
    with pytest.raises(ParameterError, match=r"search\.cnn2d\.dropout") as caught:
        params.resolve(raw)
    assert reason in str(caught.value)
    assert "function-after" not in str(caught.value) and "union[" not in str(caught.value), "no internals of pydantic"


def test_a_missing_parameter_is_named(raw: dict[str, Any]) -> None:
    del raw["evaluate"]["seed"]
    with pytest.raises(ParameterError, match=r"'evaluate\.seed' is missing"):
        params.resolve(raw)


def test_a_misspelt_section_gets_a_suggestion(raw: dict[str, Any]) -> None:
    raw["trian"] = raw.pop("train")
    with pytest.raises(ParameterError) as caught:
        params.resolve(raw)
    assert "did you mean 'train'" in str(caught.value)


def test_by_dataset_rejects_unknown_parameters(raw: dict[str, Any]) -> None:
    raw["by_dataset"]["icbhi"]["train"]["epoch"] = 3
    with pytest.raises(ParameterError, match=r"by_dataset\.icbhi\.train\.epoch"):
        params.resolve(raw)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["sample"], "by_dataset is ['sample']"),
        ("sample", "by_dataset is 'sample'"),
        ({"sample": "x"}, "by_dataset.sample is 'x'"),
        ({"sample": {"train": 5}}, "by_dataset.sample.train is 5"),
        ({"sample": {"train": ["epochs"]}}, "by_dataset.sample.train is ['epochs']"),
        ({"sample": {}, 2017: {}}, "by_dataset is {'sample': {}, 2017: {}}"),
    ],
)
def test_by_dataset_must_be_a_mapping(raw: dict[str, Any], value: Any, expected: str) -> None:
    raw["by_dataset"] = value
    with pytest.raises(ParameterError) as caught:
        params.resolve(raw)
    assert expected in str(caught.value)


def test_a_section_of_by_dataset_may_be_empty(raw: dict[str, Any]) -> None:
    raw["by_dataset"]["other"] = None
    raw["by_dataset"]["sample"]["report"] = None
    with pytest.raises(ParameterError, match="'other'"):
        params.resolve(raw | {"dataset": "other"})
    del raw["by_dataset"]["other"]
    params.resolve(raw)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seeds_accept_the_full_range_of_32_bits(raw: dict[str, Any], seed: int) -> None:
    sections = [raw[name] for name in ("split", "balance", "train", "evaluate")]
    for section in [*sections, raw["download"]["sample"], raw["features"]["augmented"]]:
        section["seed"] = seed
    params.resolve(raw)


@pytest.mark.parametrize("keys", [("download", "sample"), ("features", "augmented"), ("balance",), ("evaluate",)])
def test_negative_seeds_are_rejected(raw: dict[str, Any], keys: tuple[str, ...]) -> None:
    section = raw
    for name in keys:
        section = section[name]
    section["seed"] = -1
    with pytest.raises(ParameterError, match=rf"{'.'.join(keys)}\.seed is -1"):
        params.resolve(raw)


def test_a_wrong_default_of_another_data_set_is_an_error(raw: dict[str, Any]) -> None:
    raw["by_dataset"]["icbhi"]["train"]["epochs"] = -1
    with pytest.raises(ParameterError) as caught:
        params.resolve(raw)
    assert "by_dataset.icbhi" in str(caught.value)


def test_combinations_are_checked_for_the_chosen_data_set_only(raw: dict[str, Any]) -> None:
    """Windows of 8 s fit ICBHI's hop of 5 s, not SPRSound's of 9.25 s."""
    raw["dataset"] = "icbhi"
    raw["features"]["window_s"] = 8.0
    assert params.resolve(raw).features.window_s == 8.0
    raw["dataset"] = "sprsound"
    with pytest.raises(ParameterError, match="window_hop_s"):
        params.resolve(raw)


def test_all_errors_are_reported_at_once(raw: dict[str, Any]) -> None:
    raw["train"]["epochs"] = -1
    raw["split"]["folds"] = 1
    with pytest.raises(ParameterError) as caught:
        params.resolve(raw)
    assert "train.epochs" in str(caught.value) and "split.folds" in str(caught.value)


@pytest.mark.parametrize("text", ["train: [", "just words", "", "dataset: 2017-13-45"])
def test_a_file_without_sections_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError):
        params.load(path)


def test_a_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes() + "# Geräusch\n".encode("latin-1"))
    with pytest.raises(ParameterError, match="is not UTF-8") as caught:
        params.load(path)
    assert f"{path}:{len(path.read_bytes().splitlines())}" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"params\.yaml"):
        params.load(tmp_path / "params.yaml")


def test_parameters_of_an_earlier_layout_can_be_read_for_a_comparison(raw: dict[str, Any], tmp_path: Path) -> None:
    """The base of a pull request may be older than cross-fitting; only its data set and experiments count."""
    del raw["search"], raw["split"]["test"], raw["train"]["piece_s"], raw["train"]["decisions"]
    del raw["features"]["window_length"]
    raw["split"]["validation_fold"] = 0
    raw["train"] |= {"seeds": None, "class_weights": True, "patience": 4}
    raw["flows"] = {"gate": {"margin": 0.02}}
    for section in raw["by_dataset"].values():
        section["train"]["seeds"] = 3
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    dataset, experiments, _ = params.of_any_revision(path)
    assert dataset == raw["dataset"] and set(experiments) == set(raw["experiments"])
    with pytest.raises(ParameterError):
        params.load(path)
