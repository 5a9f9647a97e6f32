"""A small convolutional network that predicts a position in a signal.

It gives each sample a score, and returns the mean position under the softmax of the scores. This is the soft-argmax of
Yi et al. (2016), "LIFT: Learned Invariant Feature Transform", section 3.5:

    x = sum_i softmax(s)_i i / (L - 1)

Shapes: B batch, L samples of a signal.
"""

import torch
from torch import Tensor, nn

from adlx_locate.signals import SignalSpec


class Locator(nn.Module):
    """Base of models that predict a position. The first argument of a subclass is the spec; its own ones follow."""

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, signals: Tensor) -> Tensor:
        """Signals (B, L) to positions (B,) from 0 to 1."""
        raise NotImplementedError


class PeakNet(Locator):
    """The network of the soft-argmax above, with one hidden layer.

    Args:
        spec: the length of the signals, from the data.
        channels: of the hidden layer.
        kernel: width of a convolution in samples, an odd number.
    """

    def __init__(self, spec: SignalSpec, channels: int = 8, kernel: int = 7) -> None:
        super().__init__(spec)
        if channels < 1 or kernel % 2 == 0:
            raise ValueError(f"model.channels={channels} must be at least 1, model.kernel={kernel} odd")
        self.layers = nn.Sequential(
            nn.Conv1d(1, channels, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.Conv1d(channels, 1, kernel, padding=kernel // 2),
        )
        self.register_buffer("axis", torch.linspace(0, 1, spec.length), persistent=False)

    axis: Tensor

    def forward(self, signals: Tensor) -> Tensor:
        scores = self.layers(signals[:, None])[:, 0]  # (B, L)
        return scores.softmax(dim=1) @ self.axis
