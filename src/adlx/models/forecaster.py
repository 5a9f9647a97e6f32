"""The interface of every forecasting model.

Shapes: B batch, T context, H horizon, S series.
"""

from torch import Tensor, nn

from adlx.specs import SeriesSpec


class Forecaster(nn.Module):
    """A map from the last T values of S series to the next H.

    A subclass takes the `SeriesSpec` first and its own arguments, plain numbers and strings, after it.
    """

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__()
        self.spec = spec

    def forecast(self, past: Tensor) -> Tensor:
        """Maps `past` (B, T, S) to a forecast (B, H, S). The target is not among the arguments: it cannot leak."""
        raise NotImplementedError

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """The training pass: like `forecast`, but may look at `future` (B, H, S), as teacher forcing does."""
        return self.forecast(past)
