"""Requirements for the runs of every model. Each function checks finished runs and raises AssertionError."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from adlx.api import Run
from adlx.data.series.windows import WindowLoader, Windows
from adlx.metrics.forecast import ForecastResult
from adlx.runs.evaluate import evaluate
from adlx.runs.loggers import read_curves
from adlx.runs.predict import predict
from adlx.runs.trained import load_trained

SCORES = ("test/", "baseline/")


def check_finished_forecast(run: Run) -> None:
    """A finished run of a forecaster has all files, figures and metrics."""
    check_finished(run)
    assert (run.path / "metrics.csv").is_file() == is_trainable(run)  # a run without training has no curves
    figures = {"forecast", "horizon_error", "series_skill", *(["calibration"] if has_quantiles(run) else [])}
    assert {path.stem for path in run.path.glob("figures/*.png")} >= figures
    expected = {"test/skill", "test/mase", "baseline/mase", "test/mse_scaled", "test/mae_scaled", "fit/seconds"}
    assert expected <= set(run.metrics)
    assert run.metrics["test/skill"] == pytest.approx(1 - run.metrics["test/mase"] / run.metrics["baseline/mase"])


def check_finished(run: Run) -> None:
    """A finished run of any task has all files, finite metrics, predictions as a table and a table for a notebook."""
    assert run.status == "finished"
    for name in ("config.yaml", "run.json", "metrics.json", "predictions.npz"):
        assert (run.path / name).stat().st_size > 0, name
    assert {"test/skill", "fit/seconds", "model/parameters", "model/size_kb"} <= set(run.metrics)
    assert all(math.isfinite(value) for value in run.metrics.values())
    assert len(run.predictions) > 0
    assert "<table" in run._repr_html_()


def is_trainable(run: Run) -> bool:
    return run.metrics["model/trainable_parameters"] > 0


def has_quantiles(run: Run) -> bool:
    return "levels" in run.config["loss"]


def check_quantiles(run: Run) -> None:
    """Quantiles are ordered, include the point, and have the right scores; those of `forecast.csv` are ordered too."""
    stored, metrics = ForecastResult.load(run.path / "predictions.npz"), run.metrics
    quantiles_of_run, levels = stored.quantiles, run.config["loss"]["levels"]
    assert quantiles_of_run is not None
    assert quantiles_of_run.levels.tolist() == levels
    for part, point, quantiles in (
        ("test", stored.prediction, quantiles_of_run.values),
        ("baseline", stored.naive, quantiles_of_run.naive),
    ):
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=-1) >= 0).all()
        assert (quantiles[..., -1] > quantiles[..., 0]).all()
        assert np.array_equal(quantiles[..., levels.index(0.5)], point)
        for percent, low, high in ((80, 0.1, 0.9), (50, 0.25, 0.75)):
            bottom, top = (quantiles[..., levels.index(level)] for level in (low, high))
            inside = ((bottom <= stored.target) & (stored.target <= top)).mean()
            assert metrics[f"{part}/coverage_{percent}"] == pytest.approx(inside, abs=1e-12)
            width = ((top - bottom) / stored.step_mae).mean()
            assert metrics[f"{part}/width_{percent}"] == pytest.approx(width, rel=1e-9)
        errors = (stored.target[..., None] - quantiles) / stored.step_mae[:, None]
        pinball = np.where(errors > 0, errors * levels, errors * np.subtract(levels, 1))
        assert metrics[f"{part}/crps"] == pytest.approx(2 * pinball.mean(), rel=1e-9)
    skill = 1 - metrics["test/crps"] / metrics["baseline/crps"]
    assert metrics["test/crps_skill"] == pytest.approx(skill, abs=1e-12)

    product = predict(run).product
    bands = [f"{name}/{level}" for name in stored.series for level in levels]
    assert list(product.columns) == [*stored.series, *bands]
    ahead = product[bands].to_numpy().reshape(len(product), len(stored.series), len(levels))
    assert (np.diff(ahead, axis=-1) >= 0).all()
    assert np.array_equal(ahead[..., levels.index(0.5)], product[list(stored.series)].to_numpy())


def check_evaluation_repeats(run: Run) -> None:
    """An evaluation of the run gives exactly the same scores and predictions."""
    evaluation = evaluate(run)
    scores = {key: value for key, value in run.metrics.items() if key.startswith(SCORES)}
    assert evaluation.metrics == scores
    check_predictions_are_equal(run.path, evaluation.path)


def check_runs_are_equal(one: Run, other: Run) -> None:
    """Two runs have exactly the same losses, weights, optimizer states, scores and predictions."""
    if is_trainable(one):
        curves = [read_curves(run.path / "metrics.csv") for run in (one, other)]
        pd.testing.assert_frame_equal(curves[0], curves[1], check_exact=True)
    for name in ("best.ckpt", "last.ckpt"):
        first, second = (torch.load(run.path / "checkpoints" / name, weights_only=True) for run in (one, other))
        assert first["adlx"]["steps"] == second["adlx"]["steps"]
        for part in ("state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(first[part], second[part], f"{name}: {part}")
    scores = [{k: v for k, v in run.metrics.items() if k.startswith(SCORES)} for run in (one, other)]
    assert scores[0] == scores[1]
    check_predictions_are_equal(one.path, other.path)


def assert_same(one: object, other: object, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where  # type: ignore[arg-type]
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where  # type: ignore[attr-defined]
        for key, value in one.items():
            assert_same(value, other[key], f"{where}.{key}")  # type: ignore[index]
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where  # type: ignore[arg-type]
        for index, value in enumerate(one):
            assert_same(value, other[index], f"{where}.{index}")  # type: ignore[index]
    else:
        assert one == other, where


def check_checkpoints(run: Run) -> None:
    """Checkpoints load with `weights_only`, and contain the config, the spec and the versions of the run."""
    for name in ("best.ckpt", "last.ckpt"):
        card = torch.load(run.path / "checkpoints" / name, weights_only=True)["adlx"]
        assert card["config"] == run.config
        if "series" in card["spec"]:
            assert card["spec"]["context"] == run.config["data"]["context"]
            assert card["spec"]["horizon"] == run.config["data"]["horizon"]
            assert list(card["spec"]["series"]) == run.info["data"]["series"]
        elif "fields" in card["spec"]:
            assert list(card["spec"]["fields"]) == run.info["data"]["fields"]
        else:
            assert list(card["spec"]["classes"]) == list(run.info["data"]["classes"])
        assert card["versions"] == run.info["versions"]
        assert {"adlx", "torch", "pytorch-lightning"} <= set(card["versions"])


def check_future_is_unused(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """If all values after the forecast origin are NaN, predictions are exactly the same."""
    _check_windows_without_future(run, monkeypatch)
    _check_data_without_future(run, folder)


def _check_windows_without_future(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = WindowLoader.__iter__

    def without_future(loader: WindowLoader):
        for past, future, scored in original(loader):
            context = past.shape[1]
            window = torch.cat(
                [past, torch.full_like(future, torch.nan)], dim=1
            )  # in one storage, like those of the loader
            yield Windows(window[:, :context], window[:, context:], scored)

    with monkeypatch.context() as patch:
        patch.setattr(WindowLoader, "__iter__", without_future)
        evaluation = evaluate(run)
    check_predictions_are_equal(run.path, evaluation.path)
    stored = ForecastResult.load(evaluation.path / "predictions.npz")
    assert np.isfinite(stored.prediction).all()
    assert stored.quantiles is None or np.isfinite(stored.quantiles.values).all()


def _check_data_without_future(run: Run, folder: Path) -> None:
    """Forecasts are equal for the whole data, for a file that ends at the origin, and with NaN after the origin."""
    trained = load_trained(run, [], "test")
    data, task = trained.data, trained.task.eval()
    stored = ForecastResult.load(run.path / "predictions.npz")
    starts, context = data.starts("test"), data.context
    for window in (0, len(starts) // 2, len(starts) - 1):
        origin = starts[window] + context - 1
        path = folder / f"until_{origin}.csv"
        data.frame.iloc[: origin + 1].to_csv(path)
        prediction = predict(run, [f"data.path={path}"])
        written = pd.read_csv(prediction.path / "forecast.csv", index_col="time", float_precision="round_trip")
        assert np.array_equal(written.to_numpy(), prediction.product.to_numpy())
        ahead = data.frame.index[origin + 1 : origin + 1 + data.horizon]
        assert list(prediction.product.index) == list(data.loaded.shown_times(ahead))

        batches = []
        for values in (data.values.copy(), np.full_like(data.values, np.nan)):
            values[: origin + 1] = data.values[: origin + 1]
            loader = WindowLoader(
                data.scaler(values), torch.tensor([starts[window]]), context, data.horizon, batch_size=1
            )
            batches.append(next(iter(loader)))
        assert batches[1].future.isnan().all()
        with torch.inference_mode():
            last = data.values[origin : origin + 1]
            with_future, without_future = (product_of(task, batch.past, last) for batch in batches)
        assert np.array_equal(with_future, without_future)
        assert np.array_equal(prediction.product.to_numpy(), without_future)
        # Batches of another size are summed in another order.
        tested = stored.prediction[window]
        if stored.quantiles is not None:
            tested = np.c_[tested, stored.quantiles.values[window].reshape(len(tested), -1)]
        np.testing.assert_allclose(without_future, tested, rtol=1e-5)


def product_of(task: Any, past: torch.Tensor, last: np.ndarray) -> np.ndarray:
    """The columns of `forecast.csv` for one scaled window: points, and then quantiles if there are any."""
    point, quantiles = task.in_units(last, *task.distribution(past), past)
    return point[0] if quantiles is None else np.c_[point[0], quantiles[0].reshape(len(point[0]), -1)]


def check_predictions_are_equal(one: Path, other: Path) -> None:
    with np.load(one / "predictions.npz") as first, np.load(other / "predictions.npz") as second:
        assert first.files == second.files
        for name in first.files:
            assert np.array_equal(first[name], second[name]), name
