"""Parts that several architectures share: masks of valid frames, pooling over time, the head."""

from __future__ import annotations

import torch
from torch import nn


def halved(valid: torch.Tensor) -> torch.Tensor:
    """Return the number of valid frames after a layer of stride 2, shape (n,)."""
    return torch.div(valid + 1, 2, rounding_mode="floor")


def frame_mask(valid: torch.Tensor, frames: int) -> torch.Tensor:
    """Return 1 in valid frames and 0 after them, shape (n, 1, frames)."""
    return (torch.arange(frames) < valid[:, None]).to(torch.float32)[:, None, :]


def all_valid(valid: torch.Tensor, frames: int) -> bool:
    """Return whether every row fills all *frames*: then the network needs no masks, which saves a tenth of its time."""
    return bool((valid >= frames).all())


class TimePooling(nn.Module):
    """Mean, maximum and an attention-weighted mean over the valid frames.

    The attention is one weight per frame, a softmax over time of a small network of the frame's channels, as in
    Ilse et al., "Attention-based deep multiple instance learning", ICML 2018 (arXiv 1802.04712), equation 8, with a
    rectifier in place of the tanh.

    Attributes
    ----------
    channels
        Number of outputs: three times the channels that come in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 4, 8)
        # A bias of the last layer would cancel in the softmax. No tanh: MKL's depends on the maker of the processor.
        self.attention = nn.Sequential(nn.Conv1d(channels, hidden, 1), nn.ReLU(), nn.Conv1d(hidden, 1, 1, bias=False))
        self.channels = 3 * channels

    def forward(self, y: torch.Tensor, highest: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Return mean, maximum and weighted mean, shape (n, 3 · channels).

        Parameters
        ----------
        y
            Activations of each frame, shape (n, channels, frames), 0 in masked frames.
        highest
            Maximum of the activations, shape (n, channels). They are not negative, so a masked frame never
            changes it.
        mask
            1 in valid frames and 0 after them, shape (n, 1, frames); ``None`` if all are valid.
        """
        scores = self.attention(y)
        if mask is None:
            mean = y.mean(dim=2)
        else:
            scores = scores.masked_fill(mask == 0, float("-inf"))
            mean = y.sum(dim=2) / mask.sum(dim=2)
        weighted = (y * torch.softmax(scores, dim=2)).sum(dim=2)
        return torch.cat([mean, highest, weighted], dim=1)


def classifier_head(features: int, units: int, classes: int, dropout: float) -> nn.Sequential:
    """Return two dense layers from pooled *features* to logits."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(features, units),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(units, classes),
    )
