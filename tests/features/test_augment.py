"""Augmented copies differ from their original only as requested, and are reproducible."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from auscult.audio.resampling import band_pass
from auscult.core.sections import AugmentedParams, ResampleParams
from auscult.features.extraction.augment import KINDS, add_noise, phase_vocoder, pitch_shift, stretch_rate, time_stretch

SPEC = ResampleParams(sample_rate_hz=16000, low_hz=50.0, high_hz=1900.0, order=4)
PARAMS = AugmentedParams(noise_snr_db=[10.0, 30.0], pitch_semitones=2.0, stretch=1.25, seed=23)
NAMES = [f"rec{n}" for n in range(12)]


def tone(hz: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(16000 * seconds)) / 16000).astype(np.float32)


def loudest_hz(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size)))
    return float(spectrum.argmax() * 16000 / audio.size)


def test_noise_is_in_the_requested_range_and_in_the_band() -> None:
    ratios = []
    for name in NAMES:
        noise = add_noise(tone(440), name, PARAMS, SPEC) - tone(440)
        ratios.append(10 * np.log10(0.5 / np.mean(noise**2)))
        power = np.abs(np.fft.rfft(noise)) ** 2
        hz = np.fft.rfftfreq(noise.size, 1 / 16000)
        assert power[hz > 4000].sum() < 1e-4 * power.sum()
    assert min(ratios) > 9.9
    assert max(ratios) < 30.1
    assert max(ratios) - min(ratios) > 5


def test_pitch_shift_keeps_the_length() -> None:
    found = [loudest_hz(pitch_shift(tone(440), name, PARAMS, SPEC)) for name in NAMES]
    semitones = 12 * np.log2(np.array(found) / 440)
    assert np.abs(semitones).max() <= 2.1
    assert np.ptp(semitones) > 1.0
    assert pitch_shift(tone(440), "a", PARAMS, SPEC).size == 32000


def test_time_stretch_keeps_the_pitch() -> None:
    assert np.ptp([stretch_rate(name, PARAMS) for name in NAMES]) > 0.2, "the speeds differ"
    for name in NAMES:
        rate = stretch_rate(name, PARAMS)
        assert 1 / 1.25 <= rate <= 1.25
        copy = time_stretch(tone(440), name, PARAMS, SPEC)
        assert copy.size == round(32000 / rate)
        assert loudest_hz(copy) == pytest.approx(440, abs=3)


def test_time_stretch_moves_an_event_by_its_rate() -> None:
    audio = 0.01 * tone(440)
    audio[16000:16400] += tone(700)[:400]
    rate = stretch_rate("rec1", PARAMS)
    copy = time_stretch(audio, "rec1", PARAMS, SPEC)
    energy = np.convolve(copy**2, np.ones(400), "same")
    assert energy.argmax() / 16000 == pytest.approx(16200 / 16000 / rate, abs=0.03)


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.23])
def test_phase_vocoder_equals_librosas(rate: float) -> None:
    audio = np.random.default_rng(0).standard_normal(32000)
    theirs = librosa.effects.time_stretch(audio, rate=rate, n_fft=1024, hop_length=256)
    ours = phase_vocoder(audio.astype(np.float32), rate)
    assert ours.shape == theirs.shape
    inner = slice(0, ours.size - 2048)  # the last frames see different padding
    assert np.linalg.norm(ours[inner] - theirs[inner]) < 1e-4 * np.linalg.norm(theirs[inner])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_copies_depend_on_seed_and_name_only(kind: str) -> None:
    audio = band_pass(np.random.default_rng(0).standard_normal(8000).astype(np.float32), SPEC)
    make = KINDS[kind].make
    np.testing.assert_array_equal(make(audio, "a", PARAMS, SPEC), make(audio, "a", PARAMS, SPEC))
    others = [("b", PARAMS), ("a", PARAMS.model_copy(update={"seed": 24}))]
    for name, params in others:
        other = make(audio, name, params, SPEC)
        assert other.shape != audio.shape or not np.array_equal(other, make(audio, "a", PARAMS, SPEC))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("samples", [200, 1024, 3000])
def test_short_and_silent_audio_stays_finite(kind: str, samples: int) -> None:
    copy = KINDS[kind].make(np.zeros(samples, dtype=np.float32), "a", PARAMS, SPEC)
    assert copy.size
    assert np.isfinite(copy).all()
