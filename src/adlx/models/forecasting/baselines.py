"""Forecasts that need no training, as baselines of the networks (Hyndman & Athanasopoulos, "Forecasting: Principles
and Practice", 3rd ed., section 5.2).

Shapes: B batch, T context, H horizon, S series.
"""

from typing import Literal

import torch
from torch import Tensor

from adlx.models.forecasting.forecaster import Forecaster, ewma_volatility
from adlx.ranges import ShareAboveZero, Size
from adlx.specs import SeriesSpec


class Homoscedastic(Forecaster):
    """A forecast with the assumption that its errors have the same size at all times."""

    def scale(self, past: Tensor) -> Tensor | None:
        return None


class Naive(Homoscedastic):
    """The last value, repeated; the best forecast of a random walk."""

    def forecast(self, past: Tensor) -> Tensor:
        return past[:, -1:].expand(-1, self.spec.horizon, -1)


class SeasonalNaive(Homoscedastic):
    """The last season, repeated. `season` is its length in time steps."""

    def __init__(self, spec: SeriesSpec, season: Size = 24) -> None:
        super().__init__(spec)
        if not 1 <= season <= spec.context:
            raise ValueError(f"model.season={season} must lie within data.context={spec.context}")
        self.season = season

    def forecast(self, past: Tensor) -> Tensor:
        last_season = past[:, -self.season :]
        steps = torch.arange(self.spec.horizon, device=past.device) % self.season
        return last_season[:, steps]


class Drift(Homoscedastic):
    """Continues the line through the first and the last value of the context."""

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__(spec)
        if spec.context < 2:
            raise ValueError("model=drift needs a data.context of at least 2")

    def forecast(self, past: Tensor) -> Tensor:
        slope = (past[:, -1:] - past[:, :1]) / (self.spec.context - 1)  # (B, 1, S)
        steps = torch.arange(1, self.spec.horizon + 1, device=past.device, dtype=past.dtype)
        return past[:, -1:] + slope * steps[:, None]


class EWMA(Naive):
    """The last value, with intervals in proportion to an exponentially weighted volatility.

    It differs from the naive forecast only in its quantiles, so its loss is `loss=quantile`.

    Args:
        spec: series, context and horizon, from the data.
        decay: weight of a change relative to the change after it.
        power: 2, root mean square, as in RiskMetrics; 1, mean absolute change.
    """

    def __init__(self, spec: SeriesSpec, decay: ShareAboveZero = 0.94, power: Literal[1, 2] = 2) -> None:
        super().__init__(spec)
        if not 0 < decay <= 1:
            raise ValueError(f"model.decay={decay}: must be above 0 and at most 1")
        if spec.context < 2:
            raise ValueError("model=ewma needs a data.context of at least 2")
        self.decay, self.power = decay, power

    def scale(self, past: Tensor) -> Tensor:
        return ewma_volatility(past, self.decay, self.power)
