"""The features of a recording as a model receives it, and damaged files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from auscult.core.sections import ValidateParams
from auscult.monitoring import observe as observing
from auscult.monitoring.observe import PROBABILITY, columns, numeric_features, observe, octave_bands
from auscult.training.trained_model import TrainedModel
from tests.monitoring.untrained import untrained

VALIDATE = ValidateParams(
    min_duration_s=0.5, max_duration_s=10.0, max_clipped_share=0.05, silence_dbfs=-80.0, max_reject_share=0.1
)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return untrained()


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


def test_the_prediction_is_the_models_for_the_whole_recording(model: TrainedModel, tmp_path: Path) -> None:
    from auscult.inference.predictor import predict

    path = write(tmp_path / "noise.wav", np.random.default_rng(4).normal(0, 0.1, 40000))
    row = observe(model, [path], VALIDATE, 1).iloc[0]
    predicted = predict(model, path)[0]
    assert row[PROBABILITY] == pytest.approx(predicted.probabilities[1])
    assert row["label"] == predicted.label


def test_the_bands_describe_the_audio_as_the_model_receives_it(model: TrainedModel, tmp_path: Path) -> None:
    """White noise has constant power per hertz; power outside the model's band does not count."""
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


def test_octave_bands_have_the_edges_of_the_standard_and_end_with_the_models_band() -> None:
    bands = octave_bands(50.0, 1900.0)
    assert list(bands) == [f"band_{hz}_hz" for hz in (63, 125, 250, 500, 1000, 2000)]
    assert bands["band_1000_hz"] == pytest.approx((707.9, 1412.5), abs=0.1)
    assert bands["band_63_hz"][0] == 50.0 and bands["band_2000_hz"][1] == 1900.0
    assert "band_2000_hz" not in octave_bands(50.0, 1700.0), "a quarter of an octave is too narrow"
    assert "band_31_5_hz" in octave_bands(20.0, 1900.0)


def test_damaged_files_are_rejected_with_a_reason(model: TrainedModel, tmp_path: Path) -> None:
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
    write(tmp_path / "long.wav", np.tile(noise, 4))
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
        "long.wav": "too_long",
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


def test_a_file_removed_during_the_examination_stops_no_other(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def condition(path: Path, *arguments: Any) -> Any:
        sound = condition_(path, *arguments)
        if path.name == "a.wav":
            path.unlink()
        return sound

    condition_ = observing.condition
    monkeypatch.setattr(observing, "condition", condition)
    rng = np.random.default_rng(3)
    files = [write(tmp_path / name, rng.normal(0, 0.1, 12000)) for name in ("a.wav", "b.wav")]
    assert observe(model, files, VALIDATE, 1)["rejected"].tolist() == ["unreadable", ""]


def test_a_name_that_is_not_utf8_is_listed_with_escaped_bytes(model: TrainedModel, tmp_path: Path) -> None:
    sound = write(tmp_path / "a.wav", np.random.default_rng(3).normal(0, 0.1, 12000))
    (tmp_path / os.fsdecode(b"t\xf6ne.wav")).write_bytes(sound.read_bytes())
    table = observe(model, [*tmp_path.iterdir(), tmp_path / os.fsdecode(b"\xff.wav")], VALIDATE, 1)
    assert table["file"].tolist() == [r"\xff.wav", "a.wav", r"t\xf6ne.wav"]
    assert table["rejected"].tolist() == ["missing_audio", "", "unreadable"]
    assert table["detail"][2] == "its name is not UTF-8: rename it"
