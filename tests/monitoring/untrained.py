"""An untrained network for a band of 50 to 1900 Hz, as a model and as its folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from auscult.core.storage import write_json
from auscult.core.tasks import Task
from auscult.models import architecture
from auscult.training.normaliser import Normaliser
from auscult.training.trained_model import TrainedModel, network_logits
from tests.training.described import about_model, fold_entry

EXPERIMENT = "sounds_logmel_cnn2d"
TASK = Task("sounds", "segment", ("normal", "wheeze"), "normal", {"n": "normal", "w": "wheeze"})


def untrained() -> TrainedModel:
    """Return the model; it does not record which patients it has learned from."""
    return TrainedModel(_about(None), [partial(network_logits, _network(), 100)])


def write_untrained(folder: Path, learned_from: Sequence[str]) -> None:
    """Write the model as a folder, with the keys of patients as those it has learned from."""
    weights = folder / "weights" / "fold-0.safetensors"
    weights.parent.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in _network().state_dict().items()}, weights)
    write_json(folder / "model.json", _about(weights) | {"learned_from": sorted(learned_from)})


def _network() -> torch.nn.Module:
    torch.manual_seed(1)
    module = architecture("cnn2d")
    network: torch.nn.Module = module.build(32, 101, 2, module.DEFAULTS).eval()
    return network


def _about(weights: Path | None) -> dict[str, Any]:
    resample = {"sample_rate_hz": 16000, "low_hz": 50.0, "high_hz": 1900.0, "order": 4}
    features = {"n_fft": 1024, "window_length": 1024, "hop_length": 320, "n_mels": 32, "n_mfcc": 16}
    features |= {"segment_s": 2.0, "window_s": 2.0, "window_hop_s": 2.0, "subtract": "nothing", "padding": "mask"}
    spec = {"representation": "logmel", "bins": 32, "padding": "mask", "resample": resample, "features": features}
    spec |= {"segments": {"frames": 101, "length_s": 2.0}, "windows": {"frames": 101, "length_s": 2.0, "hop_s": 2.0}}
    rows = np.random.default_rng(0).normal(-50, 10, (4, 32, 101)).astype(np.float32)
    normaliser = Normaliser.fit(rows, np.full(4, 101), "mask", np.arange(4))
    named = {"experiment": EXPERIMENT, "model": "cnn2d", "hyperparameters": architecture("cnn2d").DEFAULTS}
    return about_model(TASK, spec, (32, 101), [fold_entry(TASK, 0, weights, normaliser)], **named)
