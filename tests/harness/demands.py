"""What every forecaster must meet, whoever wrote it. Each demand takes finished runs and raises AssertionError."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from adlx.api import Run
from adlx.data.series.windows import WindowLoader
from adlx.metrics.forecast import ForecastResult
from adlx.runs.evaluate import evaluate
from adlx.runs.loggers import read_curves
from adlx.runs.predict import predict
from adlx.runs.trained import open_trained

SCORES = ("test/", "baseline/")


def is_finished(run: Run) -> None:
    """All files are there, and the numbers are numbers."""
    is_whole(run)
    assert (run.path / "metrics.csv").is_file() == is_trainable(run)  # nothing to train, no curves
    figures = {"forecast", "horizon_error", "series_skill", *(["calibration"] if has_quantiles(run) else [])}
    assert {path.stem for path in run.path.glob("figures/*.png")} >= figures
    wanted = {"test/skill", "test/mase", "baseline/mase", "test/mse_scaled", "test/mae_scaled", "fit/seconds"}
    assert wanted <= set(run.metrics)
    assert run.metrics["test/skill"] == pytest.approx(1 - run.metrics["test/mase"] / run.metrics["baseline/mase"])


def is_whole(run: Run) -> None:
    """What a finished run of any task has."""
    assert run.status == "finished"
    for name in ("config.yaml", "run.json", "metrics.json", "predictions.npz"):
        assert (run.path / name).stat().st_size > 0, name
    assert {"test/skill", "fit/seconds", "model/parameters", "model/size_kb"} <= set(run.metrics)
    assert all(math.isfinite(value) for value in run.metrics.values())


def is_trainable(run: Run) -> bool:
    return run.metrics["model/trainable_parameters"] > 0


def has_quantiles(run: Run) -> bool:
    return "levels" in run.config["loss"]


def quantiles_are_sound(run: Run) -> None:
    """In order, around the point, scored beside those of the naive forecast; and so are the columns of the product."""
    stored, metrics = ForecastResult.load(run.path / "predictions.npz"), run.metrics
    held, levels = stored.quantiles, run.config["loss"]["levels"]
    assert held is not None
    assert held.levels.tolist() == levels
    for part, point, quantiles in (("test", stored.prediction, held.values), ("baseline", stored.naive, held.naive)):
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


def evaluates_to_its_own_metrics(run: Run) -> None:
    """To the last bit, and to the last bit of each prediction."""
    evaluation = evaluate(run)
    scores = {key: value for key, value in run.metrics.items() if key.startswith(SCORES)}
    assert evaluation.metrics == scores
    predictions_are_equal(run.path, evaluation.path)


def equal_to_the_last_bit(one: Run, other: Run) -> None:
    """The whole trace of losses, the weights, the optimizer's state and the scores."""
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
    predictions_are_equal(one.path, other.path)


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


def checkpoints_are_plain(run: Run) -> None:
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


def is_blind_to_the_future(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """With every value after the forecast origin replaced by NaN, predictions do not change by a bit."""
    _every_test_window_is_blind(run, monkeypatch)
    _every_value_after_the_origin_is_blind(run, folder)


def _every_test_window_is_blind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = WindowLoader.__iter__

    def blind(loader: WindowLoader):
        for past, future in honest(loader):
            context = past.shape[1]
            window = torch.cat([past, torch.full_like(future, torch.nan)], dim=1)  # in one storage, as the loader's
            yield window[:, :context], window[:, context:]

    with monkeypatch.context() as patch:
        patch.setattr(WindowLoader, "__iter__", blind)
        evaluation = evaluate(run)
    predictions_are_equal(run.path, evaluation.path)
    stored = ForecastResult.load(evaluation.path / "predictions.npz")
    assert np.isfinite(stored.prediction).all()
    assert stored.quantiles is None or np.isfinite(stored.quantiles.values).all()


def _every_value_after_the_origin_is_blind(run: Run, folder: Path) -> None:
    """Forecasts from a file that ends at the origin, from the data as they are, and from a loader full of NaN."""
    trained = open_trained(run, [], "test")
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
        assert list(prediction.product.index) == list(data.frame.index[origin + 1 : origin + 1 + data.horizon])

        batches = []
        for values in (data.values.copy(), np.full_like(data.values, np.nan)):
            values[: origin + 1] = data.values[: origin + 1]
            loader = WindowLoader(
                data.scaler(values), torch.tensor([starts[window]]), context, data.horizon, batch_size=1
            )
            batches.append(next(iter(loader)))
        assert batches[1][1].isnan().all()
        with torch.inference_mode():
            seeing, blind = (product_of(task, past) for past, _ in batches)
        assert np.array_equal(seeing, blind)
        assert np.array_equal(prediction.product.to_numpy(), blind)
        # Batches of another size add up in another order.
        tested = stored.prediction[window]
        if stored.quantiles is not None:
            tested = np.c_[tested, stored.quantiles.values[window].reshape(len(tested), -1)]
        np.testing.assert_allclose(blind, tested, rtol=1e-5)


def product_of(task: Any, past: torch.Tensor) -> np.ndarray:
    """The columns of `forecast.csv` for one scaled window: points, and after them quantiles, if there are any."""
    point, quantiles = task.distribution(past)
    columns = [task.scaler.inverse(point)[0]]
    if quantiles is not None:
        columns.append(task.inverse_quantiles(quantiles)[0].flatten(1))
    return torch.cat(columns, dim=1).numpy()


def predictions_are_equal(one: Path, other: Path) -> None:
    with np.load(one / "predictions.npz") as first, np.load(other / "predictions.npz") as second:
        assert first.files == second.files
        for name in first.files:
            assert np.array_equal(first[name], second[name]), name
