"""The interface of every forecasting model, and the layer that most of them end with.

Shapes: B batch, T context, H horizon, S series, P values a series and step.
"""

import torch
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
        """Maps `past` (B, T, S) to a forecast (B, H, S). The target is not among the arguments: it cannot leak.

        Where `spec.outputs`, P, is more than 1, quantiles are asked for, and a model may return (B, H, S, P): the
        point, then a score for each of the P - 1 gaps between neighbouring quantiles, which widens it above 0 and
        narrows it below (`adlx.tasks.quantiles.Spread`). One that returns a point is given the quantiles of its own
        errors in training.
        """
        raise NotImplementedError

    def scale(self, past: Tensor) -> Tensor | None:
        """The unit of the errors, (B, 1, S) from `past` (B, T, S), which they are proportional to; None: constant.

        The model predicts quantiles as multiples of it. Markets, weather and sales have calm and volatile periods, so
        it is the exponentially weighted mean of recent absolute changes. A root mean square would stay high for a day
        after a single jump: for hourly prices, the mean gives a CRPS that is 0.006 lower.
        """
        return ewma_volatility(past, decay=0.94, power=1)

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """The training pass: like `forecast`, but may look at `future` (B, H, S), as teacher forcing does."""
        return self.forecast(past)


class ForecastHead(nn.Linear):
    """The last affine layer: from features to values of S series, P each where the spec asks for more than a point.

    Args:
        features: width of the input.
        spec: says S and P.
        steps: reads this many steps from one feature vector; None: one, without an axis for it.
    """

    def __init__(self, features: int, spec: SeriesSpec, steps: int | None = None) -> None:
        shape = (len(spec.series),) if spec.outputs == 1 else (len(spec.series), spec.outputs)
        self.shape = shape if steps is None else (steps, *shape)
        super().__init__(features, (steps or 1) * len(spec.series) * spec.outputs)

    def forward(self, input: Tensor) -> Tensor:
        """(..., features) to (..., S) or (..., S, P); with several steps to (..., steps, S) or (..., steps, S, P)."""
        return super().forward(input).unflatten(-1, self.shape)


def ewma_volatility(past: Tensor, decay: float, power: int) -> Tensor:
    """(B, 1, S) size of the one-step changes of `past` (B, T, S), each weighing `decay` times the one after it.

    With `power` 2 the root of their mean square, which is the volatility of RiskMetrics (J.P. Morgan 1996, "Technical
    Document", section 5.2, decay 0.94); with 1 their mean absolute value.
    """
    changes = past.diff(dim=1).abs()
    ages = torch.arange(changes.shape[1] - 1, -1, -1, device=past.device, dtype=past.dtype)
    weights = decay**ages
    mean = ((weights / weights.sum())[:, None] * changes.pow(power)).sum(dim=1, keepdim=True)
    return mean.pow(1 / power)
