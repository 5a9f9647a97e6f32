"""Forecasting: the model sees the normalized past of each window; the test part is scored in original units.

With a quantile loss (a loss with `levels`) the forecast is a point and quantiles around it.

Shapes: B batch, T context, H horizon, S series, Q levels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from adlx.figures.failures import reported
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles
from adlx.metrics.months import month_table
from adlx.metrics.tables import DataTable
from adlx.models.forecasting.forecaster import Forecaster
from adlx.specs import SeriesSpec
from adlx.tasks.forecast_tables import long_table, wide_table, write_tables
from adlx.tasks.forecast_text import describe_forecasts
from adlx.tasks.losses import require_difference
from adlx.tasks.optimization import Optimization
from adlx.tasks.quantiles import Spread, constant_units, levels_of
from adlx.tasks.task import Task
from adlx.tasks.unseen import unseen_scores

MAX_ERRORS = 20_000_000
"""Largest number of training errors whose quantiles are computed; so many are sorted in seconds."""


class Forecast(Task):
    """Arguments as `Task`. The task contains the scaler of `data`, and the checkpoints store it."""

    model_kind = Forecaster
    spec_kind = SeriesSpec
    result_kind = ForecastResult
    model: Forecaster

    def __init__(
        self, model: Forecaster, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        self.scaler = data.scaler
        self.in_sample = data.in_sample
        self.changes: list[Tensor] = []  # (B, H, S) from the last value to the forecast, scaled
        self.quantile_changes: list[tuple[Tensor, ...]] = []  # (B, H, S, Q) to quantiles of model and naive forecast
        self.scaled_errors: list[Tensor] = []  # (3, B): teacher-forced, forecast and naive, of an in-sample test
        self.result: ForecastResult | None = None
        self.levels = levels_of(self.loss)
        if self.levels is not None:
            shape = (self.levels, model.spec.horizon, len(model.spec.series))
            self.spread, self.naive_spread = Spread(*shape), Spread(*shape)
            self.refits_spread = False  # set at the start of training

    def fit_statistics(self, data: Any) -> None:
        """Fits the scaler and, for a quantile loss, the spread of the training errors."""
        self.scaler.fit(data.training())
        if self.levels is not None:
            self.fit_spreads(data)

    @classmethod
    def check_loss(cls, loss: nn.Module) -> None:
        if levels_of(loss) is None:
            require_difference(loss)

    @classmethod
    def model_spec(cls, spec: SeriesSpec, loss: nn.Module) -> SeriesSpec:
        levels = levels_of(loss)
        return spec if levels is None else replace(spec, outputs=len(levels))

    def forecast(self, past: Tensor) -> Tensor:
        """Maps scaled windows (B, T, S) to scaled forecasts (B, H, S)."""
        return self.distribution(past)[0]

    def distribution(self, past: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `forecast`, and with a quantile loss also the quantiles (B, H, S, Q)."""
        window, last, deviation = self.scaler.normalize(past)
        return self.to_scaled(self.model.forecast(window), past, last, deviation)

    def to_scaled(self, output: Tensor, past: Tensor, last: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor | None]:
        """Converts the model's output for a normalized window to a forecast and quantiles in scaled units."""
        if self.levels is None:
            return output * deviation + last, None
        output = output.to(past.dtype)  # half precision cannot resolve quantiles that are close together
        scores = None
        if output.dim() == 4:
            output, scores = output[..., 0], output[..., 1:]
        point = output * deviation + last
        return point, self.spread(point, self.units(past), scores)

    def units(self, past: Tensor) -> Tensor:
        """Units (K, B, 1, S) of the model's errors, in scaled units; errors are multiples of them, see `Spread.fit`."""
        window, _, deviation = self.scaler.normalize(past)
        scale = self.model.scale(window)
        return constant_units(self.scaler, past) if scale is None else (scale * deviation).clamp(min=self.floor)[None]

    @property
    def floor(self) -> Tensor:
        """Smallest unit (S,), for constant windows: a tenth of the mean absolute step of the training part."""
        return 0.1 * self.scaler.step

    @torch.no_grad()
    def fit_spreads(self, data: Any) -> None:
        """Fits the quantiles of training errors, for the naive forecast (the baseline) and for the model.

        A model that predicts the gaps between quantiles starts from the spread of the naive forecast. A model that
        predicts points only gets the spread of its own errors, which is fitted again before each validation.
        """
        training, device = self.model.training, self.device
        self.model.eval()
        naive_errors, errors, units, naive_units = [], [], [], []
        has_gap_scores = False
        for batch in data.sample("train", most=max(500, MAX_ERRORS // future_size(data))):
            past, future = batch.past.to(device), batch.known_future().to(device)
            window, last, deviation = self.scaler.normalize(past)
            naive_errors.append(future - past[:, -1:])
            output = self.model.forecast(window).to(past.dtype)
            has_gap_scores = output.dim() == 4
            errors.append(naive_errors[-1] if has_gap_scores else future - (output * deviation + last))
            units.append(self.units(past))
            naive_units.append(constant_units(self.scaler, past))
        self.model.train(training)
        self.naive_spread.fit(_joined(naive_errors, 0), _joined(naive_units, 1))
        self.spread.fit(_joined(errors, 0), _joined(units, 1))

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.levels is not None:
            self.refits_spread = not self.has_gap_scores(self.trainer.datamodule)  # type: ignore[attr-defined]

    @torch.no_grad()
    def has_gap_scores(self, data: Any) -> bool:
        """Whether the model predicts scores for the gaps between quantiles, in addition to its point."""
        training = self.model.training
        past = next(iter(data.sample("train", most=1))).past.to(self.device)
        output = self.model.eval().forecast(self.scaler.normalize(past)[0])
        self.model.train(training)
        return output.dim() == 4

    def on_validation_epoch_start(self) -> None:
        if self.levels is not None and self.refits_spread:
            self.fit_spreads(self.trainer.datamodule)  # type: ignore[attr-defined]

    def batch_loss(self, batch: Any) -> Tensor:
        past, future, scored = batch
        window, last, deviation = self.scaler.normalize(past)
        target = (future - last) / deviation
        output = self.model(window, target) if self.training else self.model.forecast(window)
        if self.levels is None:
            return self.masked_loss(output, target, scored)
        _, quantiles = self.to_scaled(output, past, last, deviation)
        assert quantiles is not None
        origin, step = past[:, -1:], self.scaler.step  # the test set is scored in steps too
        return self.masked_loss((quantiles - origin[..., None]) / step[:, None], (future - origin) / step, scored)

    def masked_loss(self, output: Tensor, target: Tensor, scored: Tensor | None) -> Tensor:
        """The loss of the targets that are scored; 0 where there is none."""
        if scored is None:
            return self.loss(output, target)
        return self.loss(output[scored], target[scored]) if scored.any() else 0.0 * output.sum()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        past, future, _ = batch
        last = past[:, -1:]
        point, quantiles = self.distribution(past)
        self.changes.append((point - last).cpu())
        if quantiles is not None:
            naive = self.naive_spread(last.expand_as(future), constant_units(self.scaler, past))
            self.quantile_changes.append(tuple((each - last[..., None]).cpu() for each in (quantiles, naive)))
        if self.in_sample:  # the score of the notebooks, where the model sees the target, and honest ones in its units
            window, shift, deviation = self.scaler.normalize(past)
            forced = self.to_scaled(self.model(window, (future - shift) / deviation), past, shift, deviation)[0]
            predictions = torch.stack([forced, point, last.expand_as(future)])
            squares = (predictions - batch.known_future()).square()
            self.scaled_errors.append(squares.nanmean(dim=(2, 3)))

    def in_units(
        self, last: np.ndarray, point: Tensor, quantiles: Tensor | None, past: Tensor
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Converts scaled forecasts (B, H, S) and quantiles (B, H, S, Q) of `past` (B, T, S) to original units.

        They are changes from `last` (B, S), the last values in original units, which scaling to float32 rounds.
        """
        start = past[:, -1:]
        values = self.scaler.changed(last, point - start)
        return values, None if quantiles is None else self.scaler.changed(last, quantiles - start[..., None])

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        target, origin = data.actual("test")
        last = data.last_values("test")
        self.result = ForecastResult(
            prediction=self.scaler.changed(last, torch.cat(self.changes)),
            target=target,
            last=last,
            origin=origin,
            series=self.scaler.names,
            mean=_numpy(self.scaler.mean),
            std=_numpy(self.scaler.std),
            step_mae=_numpy(self.scaler.step_mae),
            stride=data.stride,
            quantiles=self.tested_quantiles(last),
        )
        self.results = self.result.scores()
        if self.in_sample:
            forced, forecast, naive = torch.cat(self.scaled_errors, dim=1).mean(dim=1).tolist()
            self.results |= {
                "insample/mse": forced,
                "insample/mse_autoregressive": forecast,
                "insample/mse_naive": naive,
            }
            self.results |= unseen_scores(self.forecast, self.scaler, data.unseen())
        for collected in (self.changes, self.quantile_changes, self.scaled_errors):
            collected.clear()

    def tested_quantiles(self, last: np.ndarray) -> Quantiles | None:
        if self.levels is None:
            return None
        values, naive = (
            self.scaler.changed(last, torch.cat(changes)) for changes in zip(*self.quantile_changes, strict=True)
        )
        return Quantiles(np.array(self.levels), values, naive)

    def tables(self) -> dict[str, DataTable]:
        assert self.result is not None
        return {"months": month_table(self.result)}

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import forecast as draw

        assert self.result is not None
        title = f"{title}, in-sample" if self.in_sample else title
        return {
            "forecast": draw.forecast_panels(self.result, title),
            "horizon_error": draw.horizon_error(self.result, title),
            "series_skill": draw.series_skill(self.result, title),
            **({} if self.levels is None else {"calibration": draw.calibration(self.result, title)}),
        }

    @torch.inference_mode()
    def predict_into(self, folder: Path, data: Any, title: str) -> pd.DataFrame:
        """Forecasts the H steps after the end of the data: `forecast.csv` and `forecast.parquet`, and a figure.

        Returns:
            A column for each series, in original units, and then `<series>/<level>` if there are quantiles.
        """
        from adlx.figures.forecast import forecast_fan
        from adlx.figures.style import save

        past, times = data.latest()
        self.eval()
        past = past.to(self.device)
        points, bands = self.in_units(data.values[-1:], *self.distribution(past), past)
        values, bands = points[0], None if bands is None else bands[0]  # (H, S), (H, S, Q)
        levels = self.levels or ()
        frame = wide_table(data.loaded.shown_times(times), self.scaler.names, values, levels, bands)
        written = frame.set_axis(data.loaded.written_times(times).rename("time"), axis=0)
        if (columns := data.loaded.long_columns) is None:
            write_tables(folder, frame, written, index=True)
        else:
            tables = (long_table(each, self.scaler.names, levels, columns) for each in (frame, written))
            write_tables(folder, *tables, index=False)
        context = data.frame.iloc[-data.context :]
        known, ahead = (data.loaded.clock_times(index) for index in (context.index, times))
        with reported("the figure forecast"):
            figure = forecast_fan(
                known, context.to_numpy(), ahead, values, self.scaler.names, title, self.levels, bands
            )
            save(figure, folder / "forecast.png")
        return frame

    def describe_product(self, product: pd.DataFrame) -> str:
        """The forecasts, each with its widest interval if there are quantiles."""
        return describe_forecasts(product, self.scaler.names, self.levels)


def future_size(data: Any) -> int:
    return data.horizon * len(data.spec.series)


def _joined(parts: list[Tensor], axis: int) -> np.ndarray:
    return torch.cat(parts, dim=axis).cpu().double().numpy()


def _numpy(statistic: Tensor) -> np.ndarray:
    return statistic.detach().cpu().double().numpy()
