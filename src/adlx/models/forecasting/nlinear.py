"""NLinear: one linear map from the context to the horizon, relative to the last value.

Zeng, Chen, Zhang, Xu (2023), "Are Transformers Effective for Time Series Forecasting?", section 4:

    y = W (x - x_T) + b + x_T

Shapes: B batch, T context, H horizon, S series, P values of a series and step.
"""

import torch
from torch import Tensor, nn

from adlx.models.forecasting.forecaster import Forecaster
from adlx.specs import SeriesSpec


class NLinear(Forecaster):
    """The linear map; its weights start at zero, so the untrained model is the naive forecast.

    Args:
        spec: series, context and horizon, from the data.
        individual: one map for each series instead of one for all.
    """

    def __init__(self, spec: SeriesSpec, individual: bool = False) -> None:
        super().__init__(spec)
        self.maps = nn.ModuleList(
            nn.Linear(spec.context, spec.horizon * spec.outputs) for _ in range(len(spec.series) if individual else 1)
        )
        for parameter in self.maps.parameters():
            nn.init.zeros_(parameter)

    def forecast(self, past: Tensor) -> Tensor:
        last = past[:, -1:]
        series = (past - last).transpose(1, 2)  # (B, S, T)
        if len(self.maps) == 1:
            output = self.maps[0](series)  # (B, S, H P)
        else:
            output = torch.stack([linear(series[:, i]) for i, linear in enumerate(self.maps)], dim=1)
        if self.spec.outputs == 1:
            return output.transpose(1, 2) + last
        output = output.unflatten(-1, (self.spec.horizon, -1)).transpose(1, 2)  # (B, H, S, P)
        return torch.cat([output[..., :1] + last[..., None], output[..., 1:]], dim=-1)
