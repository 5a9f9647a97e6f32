"""Forecasting: windows are normalised, the model sees their past, the test part is scored in original units.

With a loss over quantiles (one that has `levels`) the forecast is a point and a spread around it.

Shapes: B batch, T context, H horizon, S series, Q levels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles
from adlx.metrics.months import by_month
from adlx.metrics.quantiles import intervals
from adlx.models.forecasting.forecaster import Forecaster
from adlx.specs import SeriesSpec
from adlx.tasks.optimization import Optimization
from adlx.tasks.quantiles import Spread
from adlx.tasks.task import Task
from adlx.tasks.unseen import unseen_scores

Batch = tuple[Tensor, Tensor]
ERRORS = 20_000_000
"""How many errors the quantiles of training errors are taken from at most: as many as sort in seconds."""


class Forecast(Task):
    """Arguments as `Task`; the scaler of `data` becomes part of the task and of its checkpoints."""

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
        self.forecasts: list[Tensor] = []
        self.lasts: list[Tensor] = []
        self.quantiles: list[tuple[Tensor, Tensor]] = []  # own and naive
        self.scaled_errors: list[Tensor] = []  # (3, B): teacher-forced, own and naive, of an in-sample test
        self.result: ForecastResult | None = None
        self.levels = levels_of(self.loss)
        if self.levels is not None:
            shape = (self.levels, model.spec.horizon, len(model.spec.series))
            self.spread, self.naive_spread = Spread(*shape), Spread(*shape)
            self.refits = False  # known once training starts

    def fit_statistics(self, data: Any) -> None:
        """Fits the scaler and, where quantiles are forecast, the spread of the training errors."""
        self.scaler.fit(data.training())
        if self.levels is not None:
            self.fit_spreads(data)

    @classmethod
    def model_spec(cls, spec: SeriesSpec, loss: nn.Module) -> SeriesSpec:
        levels = levels_of(loss)
        return spec if levels is None else replace(spec, outputs=len(levels))

    def forecast(self, past: Tensor) -> Tensor:
        """From scaled windows (B, T, S) to scaled forecasts (B, H, S)."""
        return self.distribution(past)[0]

    def distribution(self, past: Tensor) -> tuple[Tensor, Tensor | None]:
        """From scaled windows (B, T, S) to scaled forecasts (B, H, S), and quantiles (B, H, S, Q) if they are asked."""
        shape, last, deviation = self.scaler.normalize(past)
        return self.interpret(self.model.forecast(shape), past, last, deviation)

    def interpret(self, output: Tensor, past: Tensor, last: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor | None]:
        """What a model's output on a normalised window says in scaled units."""
        if self.levels is None:
            return output * deviation + last, None
        output = output.to(past.dtype)  # half precision is too coarse for what lies close together
        scores = None
        if output.dim() == 4:
            output, scores = output[..., 0], output[..., 1:]
        point = output * deviation + last
        return point, self.spread(point, self.units(past), scores)

    def units(self, past: Tensor) -> Tensor:
        """(K, B, 1, S) what errors of the model are in proportion to, in scaled units: see `Spread.fit`."""
        shape, _, deviation = self.scaler.normalize(past)
        scale = self.model.scale(shape)
        return constant_units(self.scaler, past) if scale is None else (scale * deviation).clamp(min=self.floor)[None]

    @property
    def floor(self) -> Tensor:
        """(S,) the least unit, for windows that stood still: a tenth of the mean absolute step of the training part."""
        return 0.1 * self.scaler.step

    @torch.no_grad()
    def fit_spreads(self, data: Any) -> None:
        """Fits the quantiles of training errors: of the naive forecast, which is the baseline, and of the model.

        A model that shapes its own spread starts from that of the naive forecast. Where it gives a point alone, its
        own errors count, and if it learns, they are taken anew before each validation.
        """
        training, device = self.model.training, self.device
        self.model.eval()
        naive, own, units, constants = [], [], [], []
        shaped = False
        for past, future in data.sample("train", most=max(500, ERRORS // future_size(data))):
            past, future = past.to(device), future.to(device)
            shape, last, deviation = self.scaler.normalize(past)
            naive.append(future - past[:, -1:])
            output = self.model.forecast(shape).to(past.dtype)
            shaped = output.dim() == 4
            own.append(naive[-1] if shaped else future - (output * deviation + last))
            units.append(self.units(past))
            constants.append(constant_units(self.scaler, past))
        self.model.train(training)
        self.naive_spread.fit(_joined(naive, 0), _joined(constants, 1))
        self.spread.fit(_joined(own, 0), _joined(units, 1))

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.levels is not None:
            self.refits = not self.shapes_spread(self.trainer.datamodule)  # type: ignore[attr-defined]

    @torch.no_grad()
    def shapes_spread(self, data: Any) -> bool:
        """Whether the model gives scores for the gaps between quantiles beside its point."""
        training = self.model.training
        past, _ = next(iter(data.sample("train", most=1)))
        output = self.model.eval().forecast(self.scaler.normalize(past.to(self.device))[0])
        self.model.train(training)
        return output.dim() == 4

    def on_validation_epoch_start(self) -> None:
        if self.levels is not None and self.refits:
            self.fit_spreads(self.trainer.datamodule)  # type: ignore[attr-defined]

    def batch_loss(self, batch: Batch) -> Tensor:
        past, future = batch
        shape, last, deviation = self.scaler.normalize(past)
        target = (future - last) / deviation
        output = self.model(shape, target) if self.training else self.model.forecast(shape)
        if self.levels is None:
            return self.loss(output, target)
        _, quantiles = self.interpret(output, past, last, deviation)
        assert quantiles is not None
        now, step = past[:, -1:], self.scaler.step  # the unit in which the test set is scored
        return self.loss((quantiles - now[..., None]) / step[:, None], (future - now) / step)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        past, future = batch
        point, quantiles = self.distribution(past)
        self.forecasts.append(self.scaler.inverse(point))
        self.lasts.append(self.scaler.inverse(past[:, -1]))
        if quantiles is not None:
            naive = self.naive_spread(past[:, -1:].expand_as(future), constant_units(self.scaler, past))
            self.quantiles.append((self.inverse_quantiles(quantiles), self.inverse_quantiles(naive)))
        if self.in_sample:  # the notebooks' score, fed the truth at every step, and honest ones in the same units
            shape, last, deviation = self.scaler.normalize(past)
            forced = self.interpret(self.model(shape, (future - last) / deviation), past, last, deviation)[0]
            rivals = torch.stack([forced, point, past[:, -1:].expand_as(future)])
            self.scaled_errors.append((rivals - future).square().mean(dim=(2, 3)))

    def inverse_quantiles(self, quantiles: Tensor) -> Tensor:
        """Scaled (..., S, Q) in original units."""
        return self.scaler.inverse(quantiles.transpose(-1, -2)).transpose(-1, -2)

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
            quantiles=self.tested_quantiles(),
        )
        self.results = self.result.scores()
        if self.in_sample:
            forced, own, naive = torch.cat(self.scaled_errors, dim=1).mean(dim=1).tolist()
            self.results |= {"insample/mse": forced, "insample/mse_autoregressive": own, "insample/mse_naive": naive}
            self.results |= unseen_scores(self.forecast, self.scaler, data.unseen())
        for collected in (self.forecasts, self.lasts, self.quantiles, self.scaled_errors):
            collected.clear()

    def tested_quantiles(self) -> Quantiles | None:
        if self.levels is None:
            return None
        own, naive = (torch.cat(parts).numpy() for parts in zip(*self.quantiles, strict=True))
        return Quantiles(np.array(self.levels), own, naive)

    def tables(self) -> dict[str, pd.DataFrame]:
        assert self.result is not None
        return {"months": by_month(self.result)}

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
        """Forecasts the H steps after the end of the data: `forecast.csv` in original units, and its plot.

        Columns are the series; where there are quantiles, `<series>/<level>` follow.
        """
        from adlx.figures.forecast import forecast_fan
        from adlx.figures.style import save

        past, times = data.latest()
        self.eval()
        point, quantiles = self.distribution(past.to(self.device))
        values = self.scaler.inverse(point)[0].numpy()  # (H, S)
        frame = pd.DataFrame(values, index=times.rename("time"), columns=list(self.scaler.names))
        bands = None
        if quantiles is not None and self.levels is not None:
            bands = self.inverse_quantiles(quantiles)[0].numpy()  # (H, S, Q)
            for place, name in enumerate(self.scaler.names):
                for level, column in zip(self.levels, bands[:, place].T, strict=True):
                    frame[f"{name}/{level:g}"] = column
        with replacing(folder / "forecast.csv") as file:
            file.write(frame.to_csv(lineterminator="\n").encode())
        shown = data.frame.iloc[-data.context :]
        known, ahead = (index.tz_convert(None).to_numpy() for index in (shown.index, times))
        figure = forecast_fan(known, shown.to_numpy(), ahead, values, self.scaler.names, title, self.levels, bands)
        save(figure, folder / "forecast.png")
        return frame

    def shown(self, product: pd.DataFrame) -> str:
        """The points, each with its widest interval where there is one."""
        names = list(self.scaler.names)
        bounds = next(iter(intervals(np.array(self.levels or [])).values()), None)
        if bounds is None or self.levels is None:
            return product.loc[:, names].to_string(float_format=lambda value: f"{value:.6g}")
        low, high = (f"{self.levels[place]:g}" for place in bounds)
        told = {
            name: [
                f"{point:.6g} [{lower:.6g}, {upper:.6g}]"
                for point, lower, upper in zip(
                    product[name], product[f"{name}/{low}"], product[f"{name}/{high}"], strict=True
                )
            ]
            for name in names
        }
        return f"{pd.DataFrame(told, index=product.index).to_string()}\nin brackets: from {low} to {high}"


def levels_of(loss: nn.Module) -> list[float] | None:
    """The levels of a loss over quantiles; None: the loss is of a point."""
    levels = getattr(loss, "levels", None)
    return None if levels is None else list(levels)


def constant_units(scaler: Any, past: Tensor) -> Tensor:
    """(2, B, 1, S) for errors that are of one size at all times: in the units of the series, or in per cent."""
    last = past[:, -1:]
    return torch.stack([torch.ones_like(last), scaler.size(last).clamp(min=1e-6)])


def future_size(data: Any) -> int:
    return data.horizon * len(data.spec.series)


def _joined(parts: list[Tensor], axis: int) -> np.ndarray:
    return torch.cat(parts, dim=axis).cpu().double().numpy()


def _numpy(statistic: Tensor) -> np.ndarray:
    return statistic.detach().cpu().double().numpy()
