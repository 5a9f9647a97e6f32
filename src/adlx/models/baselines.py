"""Forecasts that need no training: what a network must beat (Hyndman & Athanasopoulos, "Forecasting: Principles and
Practice", 3rd ed., section 5.2).

Shapes: B batch, T context, H horizon, S series.
"""

import torch
from torch import Tensor

from adlx.models.forecaster import Forecaster
from adlx.specs import SeriesSpec


class Naive(Forecaster):
    """The last value, repeated: the best there is for a random walk."""

    def forecast(self, past: Tensor) -> Tensor:
        return past[:, -1:].expand(-1, self.spec.horizon, -1)


class SeasonalNaive(Forecaster):
    """The last season, repeated. `season` is its length in time steps."""

    def __init__(self, spec: SeriesSpec, season: int = 24) -> None:
        super().__init__(spec)
        if not 1 <= season <= spec.context:
            raise ValueError(f"model.season={season} must lie within data.context={spec.context}")
        self.season = season

    def forecast(self, past: Tensor) -> Tensor:
        last_season = past[:, -self.season :]
        steps = torch.arange(self.spec.horizon, device=past.device) % self.season
        return last_season[:, steps]


class Drift(Forecaster):
    """The line through the first and the last value of the context, drawn on."""

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__(spec)
        if spec.context < 2:
            raise ValueError("model=drift needs a data.context of at least 2")

    def forecast(self, past: Tensor) -> Tensor:
        slope = (past[:, -1:] - past[:, :1]) / (self.spec.context - 1)  # (B, 1, S)
        steps = torch.arange(1, self.spec.horizon + 1, device=past.device, dtype=past.dtype)
        return past[:, -1:] + slope * steps[:, None]
