"""Convolutions over time and frequency, then a recurrent layer (GRU) over time, for log-mel and MFCC images.

The last digits may differ between makers of processors: the GRU's tanh and sigmoid come from MKL.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from auscult.models.layers import TimePooling, all_valid, classifier_head, frame_mask, halved

if TYPE_CHECKING:
    from auscult.models import Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"filters": 16, "units": 64, "dropout": 0.3, "learning_rate": 3e-3}

#: Stride of each convolution over the frames; over the bins it is 2.
STRIDES = (2, 2, 1, 1)


def build(bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> nn.Module:
    """Return an untrained network for features of shape (n, bins, frames)."""
    return RecurrentNetwork(
        bins,
        classes,
        filters=int(hyperparameters["filters"]),
        units=int(hyperparameters["units"]),
        dropout=float(hyperparameters["dropout"]),
    )


class RecurrentNetwork(nn.Module):
    """Four convolutions, each halving bins and the first two frames; a GRU in both directions; pooling; two layers.

    The layout follows Cakir et al., "Convolutional recurrent neural networks for polyphonic sound event detection",
    IEEE/ACM TASLP 25 (2017, arXiv 1702.06286), with strides in place of maxima.
    """

    def __init__(self, bins: int, classes: int, *, filters: int, units: int, dropout: float) -> None:
        super().__init__()
        widths = [1, filters, 2 * filters, 2 * filters, 4 * filters]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 5 if before == 1 else 3, (2, stride), padding=2 if before == 1 else 1, bias=False)
            for (before, after), stride in zip(itertools.pairwise(widths), STRIDES, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        for _ in STRIDES:
            bins = (bins + 1) // 2
        self.recurrent = nn.GRU(widths[-1] * bins, units, batch_first=True, bidirectional=True)
        self.pooling = TimePooling(2 * units)
        self.head = classifier_head(self.pooling.channels, units, classes, dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of features (n, bins, frames); only the first ``valid`` frames count."""
        masked = not all_valid(valid, x.shape[2])
        y = x[:, None]
        if masked:
            y = y * frame_mask(valid, x.shape[2])[:, None]
        for convolution, norm, stride in zip(self.convolutions, self.norms, STRIDES, strict=True):
            y = torch.relu_(norm(convolution(y)))
            if stride == 2:
                valid = halved(valid)
            if masked:
                y = y * frame_mask(valid, y.shape[3])[:, None]
        sequence = y.flatten(1, 2).transpose(1, 2)
        if masked:
            # The direction from the end must begin at the last valid frame.
            packed = pack_padded_sequence(sequence, valid, batch_first=True, enforce_sorted=False)
            y = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=sequence.shape[1])[0]
        else:
            y = self.recurrent(sequence)[0]
        y = torch.relu(y).transpose(1, 2)
        return self.head(self.pooling(y, y.amax(dim=2), frame_mask(valid, y.shape[2]) if masked else None))
