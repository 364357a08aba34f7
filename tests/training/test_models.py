"""Every model in auscult/models/; a new file is tested without an edit here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.core import params
from auscult.core.errors import ParameterError
from auscult.models import architecture, is_network, load, names

NETWORKS = [name for name in names() if is_network(load(name))]
LEARNERS = [name for name in names() if name not in NETWORKS]
SEARCH = params.load(Path(__file__).resolve().parents[2] / "params.yaml").search


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(3)


@pytest.mark.parametrize("name", names())
def test_the_ranges_in_the_parameters_name_hyperparameters_of_the_model_and_hold_its_defaults(name: str) -> None:
    defaults = load(name).DEFAULTS
    assert set(SEARCH[name]) <= set(defaults)
    for key, space in SEARCH[name].items():
        assert space.low <= defaults[key] <= space.high, key


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("bins", "frames", "classes", "rows"), [(64, 151, 2, 3), (13, 17, 4, 2), (32, 1, 3, 1)])
def test_any_size_works_and_every_parameter_has_a_gradient(
    name: str, bins: int, frames: int, classes: int, rows: int
) -> None:
    module = architecture(name)
    network = module.build(bins, frames, classes, module.DEFAULTS).eval()
    x = torch.randn(rows, bins, frames)
    logits = network(x, torch.full((rows,), frames))
    assert logits.shape == (rows, classes)
    assert torch.isfinite(logits).all()
    if rows > 1:
        network.train()(x, torch.full((rows,), frames)).square().sum().backward()
        gradients = {key: p.grad for key, p in network.named_parameters()}
        assert not [key for key, grad in gradients.items() if grad is None or not torch.isfinite(grad).all()]
        assert not [key for key, grad in gradients.items() if not grad.abs().sum() > 0]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_width_that_is_searched_trains(name: str) -> None:
    # torch 2.13 has convolutions whose backward pass crashes the process for some widths and sizes
    module = architecture(name)
    space = SEARCH[name]["filters"]
    widths = np.arange(space.low, space.high + 1, space.step or 1).tolist()
    assert len(widths) > 1
    for width in widths:
        for bins, frames in ((64, 151), (64, 48), (32, 251)):
            network = module.build(bins, frames, 2, module.DEFAULTS | {"filters": width})
            logits = network(torch.randn(16, bins, frames), torch.full((16,), frames))
            logits.square().sum().backward()
            assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("valid", [1, 2, 17, 40])
def test_frames_after_the_valid_ones_change_nothing(name: str, valid: int) -> None:
    module = architecture(name)
    network = module.build(20, 40, 3, module.DEFAULTS).eval()
    x = torch.randn(2, 20, 40)
    other = x.clone()
    other[:, :, valid:] = 100.0
    lengths = torch.tensor([valid, valid])
    torch.testing.assert_close(network(x, lengths), network(other, lengths))
    if valid > 1:
        other[:, :, valid - 1] = 100.0
        assert not torch.allclose(network(x, lengths), network(other, lengths))


@pytest.mark.parametrize("name", NETWORKS)
def test_length_of_the_padding_changes_nothing(name: str) -> None:
    module = architecture(name)
    network = module.build(20, 40, 3, module.DEFAULTS).eval()
    x = torch.randn(2, 20, 40)
    longer = torch.cat([x, torch.randn(2, 20, 37)], dim=2)
    lengths = torch.tensor([40, 23])
    torch.testing.assert_close(network(x, lengths), network(longer, lengths))


def test_shared_layers_are_no_model() -> None:
    assert "layers" not in names()


def test_unknown_model_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=rf"'cnn3d'.*{', '.join(names())}"):
        load("cnn3d")
