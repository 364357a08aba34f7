"""Spectrograms and cepstra equal those of librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from auscult.audio.resampling import band_pass, to_rate
from auscult.core.errors import ParameterError
from auscult.core.sections import ResampleParams
from auscult.features.extraction.spectrogram import LogMel, frame_count, mel_edges, mel_filters, mfcc, without_mean

SETTINGS = {
    "sample_rate_hz": 16000,
    "low_hz": 50.0,
    "high_hz": 1900.0,
    "n_fft": 1024,
    "window_length": 1024,
    "hop_length": 320,
    "n_mels": 64,
}


def reference(audio: np.ndarray, settings: dict, n_mfcc: int) -> tuple[np.ndarray, np.ndarray]:
    """librosa's log-mel spectrogram and cepstra of the whole recording."""
    mel = librosa.feature.melspectrogram(
        y=audio,
        sr=settings["sample_rate_hz"],
        n_fft=settings["n_fft"],
        win_length=settings["window_length"],
        hop_length=settings["hop_length"],
        n_mels=settings["n_mels"],
        fmin=settings["low_hz"],
        fmax=settings["high_hz"],
    )
    logmel = librosa.power_to_db(mel, ref=1.0, top_db=None)
    return logmel, librosa.feature.mfcc(S=logmel, n_mfcc=n_mfcc)


@pytest.mark.parametrize("native_hz", [4000, 16000, 44100])
@pytest.mark.parametrize("level", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"high_hz": 7500.0},
        {"n_fft": 2048, "window_length": 2048, "hop_length": 500, "n_mels": 40},
        {"n_fft": 1023, "window_length": 1023},
        {"window_length": 512, "hop_length": 160},
        {"n_fft": 1023, "window_length": 400, "hop_length": 160},
        {"n_fft": 1024, "window_length": 401, "hop_length": 160},
    ],
)
def test_values_are_within_a_thousandth_of_a_decibel_of_librosa(native_hz: int, level: float, changes: dict) -> None:
    settings = SETTINGS | changes
    time_s = np.arange(round(2.3 * native_hz)) / native_hz
    audio = np.random.default_rng(0).standard_normal(time_s.size) * 0.1 + np.sin(2 * np.pi * 60 * time_s)
    audio[time_s < 0.3] = 0.0  # digital silence, as before ICBHI's first cycles
    spec = ResampleParams(sample_rate_hz=16000, low_hz=50.0, high_hz=settings["high_hz"], order=4)
    audio = band_pass(to_rate((level * audio).astype(np.float32), native_hz, 16000), spec)
    logmel, cepstra = reference(audio, settings, 32)
    ours = LogMel(**settings)(audio)
    assert ours.shape == logmel.shape
    assert np.abs(ours - logmel).max() < 1e-3
    assert np.abs(mfcc(ours, 32) - cepstra).max() < 1e-3


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("n_fft", [1024, 1025])
def test_first_and_last_fourier_bin_are_correct(n_fft: int) -> None:
    settings = SETTINGS | {"low_hz": 0.0, "high_hz": 8000.0, "n_fft": n_fft, "n_mels": 20}
    audio = np.random.default_rng(0).standard_normal(8000).astype(np.float32) + 0.5
    logmel, _ = reference(audio, settings, 13)
    assert np.abs(LogMel(**settings)(audio) - logmel).max() < 1e-3


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
@pytest.mark.parametrize("samples", [1, 2, 319, 320, 321, 1023, 1024, 5000])
def test_short_audio_has_as_many_frames_as_in_librosa(samples: int) -> None:
    audio = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    logmel, _ = reference(audio, SETTINGS, 13)
    ours = LogMel(**SETTINGS)(audio)
    assert ours.shape == logmel.shape == (64, frame_count(samples, 1024, 320))
    assert np.abs(ours - logmel).max() < 1e-3


def test_mel_bands_without_a_fourier_bin_are_an_error() -> None:
    narrow = LogMel(**(SETTINGS | {"n_fft": 256, "window_length": 256}))
    with pytest.raises(ParameterError, match=r"features\.n_mels is 64"):
        narrow.prepare()


def test_filters_equal_those_of_librosa() -> None:
    np.testing.assert_allclose(mel_edges(40, 50.0, 7000.0), librosa.mel_frequencies(42, fmin=50.0, fmax=7000.0))
    ours = mel_filters(mel_edges(40, 50.0, 7000.0), np.fft.rfftfreq(1024, 1 / 16000))
    theirs = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=40, fmin=50.0, fmax=7000.0)
    np.testing.assert_allclose(ours.T, theirs, atol=1e-8, rtol=1e-5)


def test_the_mean_of_level_or_bands_is_taken_over_the_sounding_frames() -> None:
    generator = np.random.default_rng(3)
    sound = generator.normal(-40, 5, (8, 30)).astype(np.float32)
    silence = np.full((8, 20), -100.0, dtype=np.float32)
    logmel = np.concatenate([silence, sound], axis=1)
    bands = without_mean(logmel, "bands")
    np.testing.assert_allclose(bands[:, 20:].mean(axis=1), 0.0, atol=1e-5)
    level = without_mean(logmel, "level")
    np.testing.assert_allclose(level, logmel - sound.mean(), atol=1e-4)
    assert without_mean(logmel, "nothing") is logmel
    np.testing.assert_array_equal(without_mean(silence, "bands"), silence)


def test_a_gain_or_a_filter_of_the_device_disappears() -> None:
    logmel = np.random.default_rng(3).normal(-40, 5, (8, 30)).astype(np.float32)
    response = np.linspace(-20, 5, 8, dtype=np.float32)[:, None]
    np.testing.assert_allclose(without_mean(logmel + response, "bands"), without_mean(logmel, "bands"), atol=1e-4)
    np.testing.assert_allclose(without_mean(logmel + 9, "level"), without_mean(logmel, "level"), atol=1e-4)
    assert np.abs(without_mean(logmel + response, "level") - without_mean(logmel, "level")).max() > 5
