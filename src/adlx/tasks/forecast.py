"""Forecasting: windows are normalised, the model sees their past, the test part is scored in original units.

Shapes: B batch, T context, H horizon, S series.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adlx.atomic import replacing
from adlx.metrics.forecast import ForecastResult, scores
from adlx.models.forecaster import Forecaster
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]


class Forecast(Task):
    """Arguments as `Task`; the scaler of `data` becomes part of the task and of its checkpoints."""

    model_kind = Forecaster
    model: Forecaster

    def __init__(
        self, model: Forecaster, loss: Mapping[str, Any], optimizer: Mapping[str, Any], data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimizer, data, seed)
        self.scaler = data.scaler
        self.in_sample = data.in_sample
        self.forecasts: list[Tensor] = []
        self.lasts: list[Tensor] = []
        self.scaled_errors: list[Tensor] = []  # (3, B): teacher-forced, own and naive, of an in-sample test
        self.result: ForecastResult | None = None

    def forecast(self, past: Tensor) -> Tensor:
        """From scaled windows (B, T, S) to scaled forecasts (B, H, S)."""
        shape, last, deviation = self.scaler.normalize(past)
        return self.model.forecast(shape) * deviation + last

    def batch_loss(self, batch: Batch) -> Tensor:
        past, future = batch
        shape, last, deviation = self.scaler.normalize(past)
        target = (future - last) / deviation
        output = self.model(shape, target) if self.training else self.model.forecast(shape)
        return self.loss(output, target)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        past, future = batch
        forecast = self.forecast(past)
        self.forecasts.append(self.scaler.inverse(forecast))
        self.lasts.append(self.scaler.inverse(past[:, -1]))
        if self.in_sample:  # the notebooks' score, fed the truth at every step, and honest ones in the same units
            shape, last, deviation = self.scaler.normalize(past)
            forced = self.model(shape, (future - last) / deviation) * deviation + last
            rivals = torch.stack([forced, forecast, past[:, -1:].expand_as(future)])
            self.scaled_errors.append((rivals - future).square().mean(dim=(2, 3)))

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        target, origin = data.actual("test")
        self.result = ForecastResult(
            prediction=torch.cat(self.forecasts).numpy(),
            target=target,
            last=torch.cat(
                self.lasts
            ).numpy(),  # rounded as the forecasts are, so that a naive model equals its baseline
            origin=origin,
            series=self.scaler.names,
            mean=_numpy(self.scaler.mean),
            std=_numpy(self.scaler.std),
            step_mae=_numpy(self.scaler.step_mae),
            stride=data.stride,
        )
        self.results = scores(self.result)
        if self.in_sample:
            forced, own, naive = torch.cat(self.scaled_errors, dim=1).mean(dim=1).tolist()
            self.results |= {"insample/mse": forced, "insample/mse_autoregressive": own, "insample/mse_naive": naive}
        for collected in (self.forecasts, self.lasts, self.scaled_errors):
            collected.clear()

    def save_predictions(self, path: Path) -> None:
        assert self.result is not None
        self.result.save(path)

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import forecast as draw

        assert self.result is not None
        title = f"{title}, in-sample" if self.in_sample else title
        return {
            "forecast": draw.forecast_panels(self.result, title),
            "horizon_error": draw.horizon_error(self.result, title),
            "series_skill": draw.series_skill(self.result, title),
        }

    @torch.inference_mode()
    def predict_into(self, folder: Path, data: Any, title: str) -> pd.DataFrame:
        """Forecasts the H steps after the end of the data: `forecast.csv` in original units, and its plot."""
        from adlx.figures.forecast import forecast_fan
        from adlx.figures.style import save

        past, times = data.latest()
        self.eval()
        values = self.scaler.inverse(self.forecast(past.to(self.device)))[0].numpy()  # (H, S)
        frame = pd.DataFrame(values, index=times.rename("time"), columns=list(self.scaler.names))
        with replacing(folder / "forecast.csv") as file:
            file.write(frame.to_csv(lineterminator="\n").encode())
        shown = data.frame.iloc[-data.context :]
        known, ahead = (index.tz_convert(None).to_numpy() for index in (shown.index, times))
        save(forecast_fan(known, shown.to_numpy(), ahead, values, self.scaler.names, title), folder / "forecast.png")
        return frame

    def shown(self, product: pd.DataFrame) -> str:
        return product.to_string(float_format=lambda value: f"{value:.6g}")


def _numpy(statistic: Tensor) -> np.ndarray:
    return statistic.detach().cpu().double().numpy()
