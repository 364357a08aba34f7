"""Resampled and filtered audio equals that of librosa and scipy."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from scipy import signal

from auscult.audio.resampling import band_pass, condition
from auscult.core.sections import ResampleParams
from tests.audio.recordings import noise

PARAMS = ResampleParams(sample_rate_hz=16000, low_hz=50.0, high_hz=1900.0, order=4)


def plain(path: Path, params: ResampleParams) -> np.ndarray:
    """Compute the same with librosa and scipy, as their documentation shows."""
    audio, rate = librosa.load(path, sr=None, mono=True)
    audio = librosa.resample(audio, orig_sr=rate, target_sr=params.sample_rate_hz, res_type="soxr_hq")
    band = [params.low_hz, params.high_hz]
    sos = signal.butter(params.order, band, "bandpass", fs=params.sample_rate_hz, output="sos")
    return signal.sosfiltfilt(sos, audio.astype(np.float64))


@pytest.mark.parametrize(
    ("rate", "subtype", "channels"),
    [(4000, "PCM_16", 1), (10000, "PCM_24", 1), (44100, "PCM_24", 2), (16000, "FLOAT", 1), (22050, "PCM_16", 3)],
)
@pytest.mark.parametrize("order", [1, 4, 8])
def test_equals_librosa_and_scipy(tmp_path: Path, rate: int, subtype: str, channels: int, order: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1.7, rate, 1, channels), rate, subtype=subtype)
    params = PARAMS.model_copy(update={"order": order})
    ours, theirs = condition(path, params), plain(path, params)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    assert np.linalg.norm(ours - theirs) <= 1e-6 * np.linalg.norm(theirs)


@pytest.mark.parametrize("samples", [0, 1, 2, 26, 27, 28, 29])
def test_very_short_recordings_can_be_filtered(samples: int) -> None:
    out = band_pass(np.ones(samples, dtype=np.float32), PARAMS)
    assert out.shape == (samples,)
    assert np.isfinite(out).all()


def test_the_filter_has_no_delay() -> None:
    click = np.zeros(16001, dtype=np.float32)
    click[8000] = 1.0
    out = band_pass(click, PARAMS)
    assert np.abs(out).argmax() == 8000
    np.testing.assert_allclose(out, out[::-1], atol=1e-6)
