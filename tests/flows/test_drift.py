"""What changed is found and named first, what did not is left alone, and no file is too broken to be looked at."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from flows.drift import compare as comparing
from flows.drift.chance import ks_distance, stability_index
from flows.drift.compare import CLASSES, SET_ASIDE, Drift, compare
from flows.drift.histogram import histogram
from flows.drift.observe import PROBABILITY, columns, numeric_features, observe, octave_bands
from flows.drift.rehearse import independent, weeks
from flows.settings import MonitorSettings
from stages.sections import ValidateParams
from stages.tasks import Task
from stages.train.models import architecture
from stages.train.normaliser import Normaliser
from stages.train.trained import TrainedModel

LIMITS = MonitorSettings(
    min_recordings=30, max_distance=0.3, max_p_value=0.01, max_class_psi=0.25, max_rejected_more=0.1
)
VALIDATE = ValidateParams(min_duration_s=0.5, max_clipped_share=0.05, silence_dbfs=-80.0, max_reject_share=0.1)
BANDS = [f"band_{hz}_hz" for hz in (63, 125, 250, 500, 1000, 2000)]


def recordings(n: int, seed: int, *, per_patient: int = 1) -> pd.DataFrame:
    """Observations as a clinic's: bands that move together, three sample rates, mostly normal answers.

    With *per_patient* above one, recordings of one patient resemble each other as those of real ones do.
    """
    rng = np.random.default_rng(seed)
    patient = np.arange(n) // per_patient

    def values(spread: float) -> np.ndarray:
        between = rng.normal(0, 1, n)[patient] if per_patient > 1 else 0.0
        within = rng.normal(0, 1, n)
        return spread * (0.8 * between + 0.6 * within if per_patient > 1 else within)

    tilt = values(4.0)
    table = pd.DataFrame({"file": [f"{seed}/{i:04d}.wav" for i in range(n)], "rejected": "", "detail": ""})
    table["label"] = rng.choice(["normal", "crackle", "wheeze", "both"], n, p=[0.6, 0.2, 0.15, 0.05])
    table["duration_s"] = 15.0 + values(2.0)
    table["sample_rate_hz"] = rng.choice([4000.0, 10000.0, 44100.0], n)
    table["level_dbfs"] = -28.0 + values(4.0)
    table["crest_db"] = 20.0 + values(3.0)
    for index, band in enumerate(BANDS):
        table[band] = -5.0 * index + tilt * (index - 2.5) / 2.5 + values(1.5)
    table["centroid_hz"] = 200.0 * np.exp(tilt / 8)
    table[PROBABILITY] = 1 / (1 + np.exp(-values(1.5)))
    return table.assign(patient=patient.astype(str))


def week(n: int = 60, seed: int = 1) -> pd.DataFrame:
    return recordings(n, seed).drop(columns="patient")


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return recordings(300, 0)


def test_weeks_without_drift_are_hardly_ever_called_drift(reference: pd.DataFrame) -> None:
    found = [compare(reference, week(seed=seed), 0.02, LIMITS).verdict for seed in range(1, 101)]
    assert found.count("no drift") >= 95, set(found)


def test_weeks_of_few_patients_are_hardly_ever_called_drift_where_independent_tests_often_do() -> None:
    table = recordings(300, 5, per_patient=7)
    drawn = list(weeks(table, 50, 40))
    assert all(len(new) == 50 and set(new["file"]).isdisjoint(known["file"]) for known, new in drawn)
    assert sum(independent(known, new, LIMITS) for known, new in drawn) >= 8
    assert sum(bool(compare(known, new, 0.0, LIMITS).drifted) for known, new in drawn) <= 2


def louder(table: pd.DataFrame) -> None:
    table["level_dbfs"] += 12.0


def low_passed(table: pd.DataFrame) -> None:
    table["band_1000_hz"] -= 15.0
    table["band_2000_hz"] -= 30.0


def other_rate(table: pd.DataFrame) -> None:
    table["sample_rate_hz"] = 8000.0


def other_classes(table: pd.DataFrame) -> None:
    table["label"] = np.where(np.arange(len(table)) % 4 == 0, "normal", "wheeze")


def unheard_class(table: pd.DataFrame) -> None:
    table.loc[::3, "label"] = "rhonchus"


def surer(table: pd.DataFrame) -> None:
    table[PROBABILITY] = table[PROBABILITY] / 10


def broken(table: pd.DataFrame) -> None:
    table.loc[:14, "rejected"] = "truncated"
    table.loc[:14, numeric_features(table)] = np.nan
    table.loc[:14, "label"] = ""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (louder, {"level_dbfs"}),
        (low_passed, {"band_2000_hz", "band_1000_hz"}),
        (other_rate, {"sample_rate_hz"}),
        (other_classes, {CLASSES}),
        (unheard_class, {CLASSES}),
        (surer, {PROBABILITY}),
        (broken, {SET_ASIDE}),
    ],
)
def test_what_changed_is_named_and_nothing_else(
    reference: pd.DataFrame, change: Callable[[pd.DataFrame], None], named: set[str]
) -> None:
    recent = week()
    change(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert set(drift.drifted) == named
    assert drift.verdict.startswith("drift in: ")


def test_causes_are_named_before_consequences_and_the_farthest_first(reference: pd.DataFrame) -> None:
    recent = week(90)
    for change in (surer, other_classes, broken):
        change(recent)
    recent["level_dbfs"] += 6.0
    recent["crest_db"] += 60.0
    drift = compare(reference, recent, 0.02, LIMITS)
    assert drift.drifted == (SET_ASIDE, "crest_db", "level_dbfs", PROBABILITY, CLASSES)


def test_a_small_difference_is_no_drift_however_certain(reference: pd.DataFrame) -> None:
    recent = week(3000)
    recent["level_dbfs"] += 2.0
    drift = compare(reference, recent, 0.02, LIMITS)
    feature = next(each for each in drift.features if each.name == "level_dbfs")
    assert feature.p_value < 0.001 and feature.distance < LIMITS.max_distance
    assert drift.verdict == "no drift"


def test_classes_of_few_recordings_differ_by_themselves(reference: pd.DataFrame) -> None:
    weeks_of_30 = [compare(reference, week(30, seed), 0.02, LIMITS).classes for seed in range(25, 31)]
    far = [classes for classes in weeks_of_30 if classes is not None and classes.psi > LIMITS.max_class_psi]
    assert far and not any(classes.drifts for classes in far)
    assert all(0.05 < classes.expected_psi < 0.2 for classes in far)


def test_too_few_recordings_say_nothing_of_features(reference: pd.DataFrame) -> None:
    recent = week(29)
    louder(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert (drift.enough, drift.features, drift.classes) == (False, (), None)
    assert drift.verdict == "too few recordings to say: 29 of 30"
    drift = compare(reference[:12], week(60), 0.02, LIMITS)
    assert drift.verdict == "too few recordings to say: the model learned from 12 of 30"


def test_many_broken_files_are_said_where_too_few_sound_ones_are_left(reference: pd.DataFrame) -> None:
    recent = week(40)
    broken(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert drift.verdict == f"drift in: {SET_ASIDE}; too few recordings to say more: 25 of 30"
    assert drift.set_aside.reasons == {"truncated": 15}
    assert compare(reference, recent[:12], 0.02, LIMITS).drifted == (), "of 12 files nothing is said at all"
    assert compare(reference, recent[15:], 0.02, LIMITS).drifted == ()
    assert compare(reference, recent, 0.3, LIMITS).drifted == (), "as many were set aside among those learned from"


def test_an_empty_folder_and_nothing_sound(reference: pd.DataFrame) -> None:
    assert compare(reference, week(40)[:0], 0.02, LIMITS).verdict == "too few recordings to say: 0 of 30"
    recent = week(40).assign(rejected="silent", label="")
    assert compare(reference, recent, 0.02, LIMITS).verdict.startswith(f"drift in: {SET_ASIDE}; too few")


def test_constants_and_a_single_class_are_compared(reference: pd.DataFrame) -> None:
    known, new = reference.copy(), week()
    for table in (known, new):
        table[numeric_features(new)] = 1.0
        table["label"] = "normal"
    assert compare(known, new, 0.02, LIMITS).verdict == "no drift"
    new["level_dbfs"] = 2.0
    drift = compare(known, new, 0.02, LIMITS)
    assert drift.drifted == ("level_dbfs",)
    assert drift.features[2].distance == 1.0
    shape = histogram(known["level_dbfs"].to_numpy(), known["level_dbfs"].to_numpy())
    assert shape.low == shape.high == 1.0 and "nan" not in shape.reference


def test_the_order_of_recordings_does_not_matter(reference: pd.DataFrame) -> None:
    recent = week()
    louder(recent)
    shuffled = recent.sample(frac=1, random_state=3)
    assert compare(reference, recent, 0.02, LIMITS).to_json() == compare(reference, shuffled, 0.02, LIMITS).to_json()


def test_json_is_plain_finite_and_says_what_the_verdict_rests_on(reference: pd.DataFrame) -> None:
    import json

    recent = week()
    louder(recent)
    said = json.loads(json.dumps(compare(reference, recent, 0.02, LIMITS).to_json(), allow_nan=False))
    level = next(feature for feature in said["features"] if feature["name"] == "level_dbfs")
    assert said["verdict"] == "drift in: level_dbfs"
    assert level["recent"]["median"] - level["reference"]["median"] == pytest.approx(12.0, abs=1.5)
    assert sum(said["classes"]["recent"].values()) == said["sound"] == 60


def test_the_distance_is_that_of_scipy_ties_included() -> None:
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(2)
    for first, second in [
        (rng.normal(size=50), rng.normal(0.3, 1, 80)),
        (rng.integers(0, 4, 50), rng.integers(1, 5, 9)),
    ]:
        assert ks_distance(first, second) == pytest.approx(ks_2samp(first, second).statistic)


def test_the_drawn_distances_are_those_of_the_drawn_recordings() -> None:
    """The running sums over all draws at once against one draw by hand, ties included."""
    known = pd.DataFrame({"x": [3.0, 1.0, 1.0, 2.0, 2.0, 7.0], "label": list("aabbab"), "patient": list("ppqqrr")})
    chance = comparing.draw(known, ["x"], ["a", "b"], 4, 500)
    x, groups = known["x"].to_numpy(), [[0, 1], [2, 3], [4, 5]]
    pairs = itertools.product(itertools.product(groups, repeat=2), itertools.product(groups, repeat=3))
    drawn = {round(ks_distance(x[np.concatenate(two)], x[np.concatenate(three)]), 4) for two, three in pairs}
    assert set(np.round(chance.distance.astype(float), 4)) == drawn


def test_the_stability_index_is_zero_for_equal_shares_and_finite_for_empty_classes() -> None:
    assert stability_index(np.array([10.0, 20.0]), np.array([10.0, 20.0])) == 0.0
    p, q = np.array([90.5, 10.5]) / 101, np.array([50.5, 50.5]) / 101
    expected = float(((q - p) * np.log(q / p)).sum())
    assert stability_index(np.array([90.0, 10.0]), np.array([50.0, 50.0])) == pytest.approx(expected)
    assert 0 < stability_index(np.array([100.0, 0.0]), np.array([0.0, 100.0])) < np.inf


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """An untrained network over a band of 50 to 1900 Hz."""
    import torch

    task = Task("sounds", "segment", ("normal", "wheeze"), "normal", {"n": "normal", "w": "wheeze"})
    resample = {"sample_rate_hz": 16000, "low_hz": 50.0, "high_hz": 1900.0, "order": 4}
    features = {"n_fft": 1024, "hop_length": 320, "n_mels": 32, "n_mfcc": 16, "segment_s": 2.0, "window_s": 2.0}
    features |= {"window_hop_s": 2.0, "padding": "mask"}
    spec = {"representation": "logmel", "bins": 32, "padding": "mask", "resample": resample, "features": features}
    spec |= {"segments": {"frames": 101, "length_s": 2.0}, "windows": {"frames": 101, "length_s": 2.0, "hop_s": 2.0}}
    module = architecture("cnn2d")
    torch.manual_seed(0)
    network = module.build(32, 101, 2, module.DEFAULTS).eval()
    rows = np.random.default_rng(0).normal(-30, 10, (4, 32, 101)).astype(np.float32)
    about = {"task": task.to_json(), "spec": spec, "experiment": "sounds", "temperature": 1.0, "biases": [0.0, 0.0]}
    about |= {"offsets": [0.0, 0.0], "bins": 32, "frames": 101}
    about |= {"normaliser": Normaliser.fit(rows, np.full(4, 101), "mask").to_json()}
    return TrainedModel(about, [network])


def write(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def tone(hz: float, amplitude: float, seconds: float = 3.0, rate: int = 8000) -> np.ndarray:
    """A sine that swells and fades within 50 ms, as a filter rings where one begins at once."""
    time = np.arange(int(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * hz * time) * np.minimum(1, np.minimum(time, seconds - time) / 0.05)


def test_a_tone_has_its_level_crest_band_and_centroid(model: TrainedModel, tmp_path: Path) -> None:
    table = observe(model, [write(tmp_path / "tone.wav", tone(500, 0.1))], VALIDATE, 1)
    row = table.iloc[0]
    assert list(table.columns) == list(columns(model.spec))
    assert (row["file"], row["rejected"], row["sample_rate_hz"], row["duration_s"]) == ("tone.wav", "", 8000, 3.0)
    assert row["level_dbfs"] == pytest.approx(-23.0, abs=0.2)
    assert row["crest_db"] == pytest.approx(3.0, abs=0.3)
    assert row["band_500_hz"] == pytest.approx(0.0, abs=0.05)
    assert max(row["band_250_hz"], row["band_1000_hz"]) < -25
    assert row["centroid_hz"] == pytest.approx(500, abs=5)
    assert 0 <= row[PROBABILITY] <= 1 and row["label"] in ("normal", "wheeze")


def test_the_answer_is_the_models_own_for_the_whole_recording(model: TrainedModel, tmp_path: Path) -> None:
    from stages.track.from_audio import answers

    path = write(tmp_path / "noise.wav", np.random.default_rng(4).normal(0, 0.1, 40000))
    row = observe(model, [path], VALIDATE, 1).iloc[0]
    answer = answers(model, path)[0]
    assert row[PROBABILITY] == pytest.approx(answer.probabilities[1])
    assert row["label"] == answer.label


def test_bands_are_those_of_the_audio_as_the_model_receives_it(model: TrainedModel, tmp_path: Path) -> None:
    """White noise has as much power per hertz everywhere; what lies outside of the model's band does not count."""
    noise = np.random.default_rng(6).normal(0, 0.05, 48000)
    plain = write(tmp_path / "a.wav", noise, 16000)
    shrill = write(tmp_path / "b.wav", noise + tone(6000, 0.3, 3.0, 16000), 16000)
    table = observe(model, [plain, shrill], VALIDATE, 2)
    bands = octave_bands(50.0, 1900.0)
    for name, (low, high) in bands.items():
        # the filter's edges change something of the outermost bands
        tolerance = 2.5 if name in ("band_63_hz", "band_2000_hz") else 0.7
        assert table[name][0] == pytest.approx(10 * np.log10((high - low) / 1850), abs=tolerance), name
    assert table.loc[0, list(bands)].to_numpy(float) == pytest.approx(
        table.loc[1, list(bands)].to_numpy(float), abs=0.2
    )
    assert table["level_dbfs"][1] == pytest.approx(table["level_dbfs"][0], abs=0.1)


def test_octave_bands_have_the_standards_edges_and_end_with_the_models_band() -> None:
    bands = octave_bands(50.0, 1900.0)
    assert list(bands) == [f"band_{hz}_hz" for hz in (63, 125, 250, 500, 1000, 2000)]
    assert bands["band_1000_hz"] == pytest.approx((707.9, 1412.5), abs=0.1)
    assert bands["band_63_hz"][0] == 50.0 and bands["band_2000_hz"][1] == 1900.0
    assert "band_2000_hz" not in octave_bands(50.0, 1700.0), "a fourth of an octave says little"
    assert "band_31_5_hz" in octave_bands(20.0, 1900.0)


def test_broken_files_are_set_aside_with_their_reason(model: TrainedModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 0.1, 24000)
    sound = write(tmp_path / "a.wav", noise)
    cut = write(tmp_path / "cut.wav", noise)
    cut.write_bytes(cut.read_bytes()[:9000])
    whole = write(tmp_path / "damaged.flac", rng.normal(0, 0.1, 24000)).read_bytes()
    (tmp_path / "damaged.flac").write_bytes(whole[:200] + rng.bytes(len(whole) - 200))
    (tmp_path / "text.wav").write_text("no audio at all, but long enough for a header")
    (tmp_path / "empty.flac").write_bytes(b"")
    write(tmp_path / "short.wav", noise[:800])
    write(tmp_path / "silent.wav", np.zeros(24000))
    write(tmp_path / "loud.wav", np.clip(40 * noise, -1, 1))
    write(tmp_path / "z" / "again.wav", noise)
    write(tmp_path / "rumble.wav", tone(3, 0.3))
    files = [*tmp_path.rglob("*.*"), tmp_path / "gone.wav"]
    table = observe(model, files, VALIDATE, 2, base=tmp_path).set_index("file")
    reasons = table["rejected"].to_dict()
    damaged = reasons.pop("damaged.flac")
    assert damaged in ("unreadable", "truncated")
    assert reasons == {
        "a.wav": "",
        "cut.wav": "truncated",
        "empty.flac": "unreadable",
        "gone.wav": "missing_audio",
        "loud.wav": "clipped",
        "rumble.wav": "",
        "short.wav": "too_short",
        "silent.wav": "silent",
        "text.wav": "wrong_content",
        "z/again.wav": "duplicate_audio",
    }
    features = table[numeric_features(table)]
    assert features[table["rejected"] == ""].notna().all(axis=None), "sound below the model's band has finite values"
    assert features[table["rejected"] != ""].isna().all(axis=None)
    assert table.loc["a.wav", "level_dbfs"] > -40 and sound.exists()


def test_the_order_of_files_and_the_number_of_threads_do_not_matter(model: TrainedModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    files = [write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 12000)) for name in "bca"]
    files.append(write(tmp_path / "d.wav", tone(300, 0.2)))
    one, two = observe(model, files, VALIDATE, 1), observe(model, files[::-1], VALIDATE, 3)
    assert one["file"].tolist() == ["a.wav", "b.wav", "c.wav", "d.wav"]
    pd.testing.assert_frame_equal(one, two)


def test_no_files_make_an_empty_table(model: TrainedModel) -> None:
    table = observe(model, [], VALIDATE, 2)
    assert table.empty and isinstance(compare(recordings(40, 1), table, 0.0, LIMITS), Drift)
