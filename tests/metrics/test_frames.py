"""Results as tables: the scores follow from their rows."""

from dataclasses import dataclass

import numpy as np
import pytest

from adlx.metrics.classification import ClassResult
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.fields import FieldResult
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles
from adlx.metrics.reconstruction import ReconstructionResult
from adlx.metrics.result import Result

RNG = np.random.default_rng(0)


def test_a_forecast_has_a_row_for_each_window_step_and_series():
    target, prediction = RNG.normal(size=(2, 5, 3, 2))  # 5 windows, 3 steps, 2 series
    values = prediction[..., None] + np.array([-1.0, 0.0, 1.0])
    result = ForecastResult(
        prediction=prediction,
        target=target,
        last=RNG.normal(size=(5, 2)),
        origin=np.datetime64("2024-01-01", "ns") + np.arange(5) * np.timedelta64(1, "h"),
        series=("a b", "0.1"),
        mean=np.zeros(2),
        std=np.ones(2),
        step_mae=np.ones(2),
        quantiles=Quantiles(np.array([0.1, 0.5, 0.9]), values, values),
    )
    frame, scores = result.frame(), result.scores()
    assert len(frame) == 5 * 3 * 2
    assert frame["step"].unique().tolist() == [1, 2, 3]
    for column, prefix in (("prediction", "test"), ("baseline", "baseline")):
        errors = (frame[column] - frame["target"]).abs().groupby(frame["series"], observed=True).mean()
        assert errors.to_dict() == pytest.approx({name: scores[f"{prefix}/mae/{name}"] for name in result.series})
    inside = frame["target"].between(frame["quantile_0.1"], frame["quantile_0.9"])
    assert inside.mean() == pytest.approx(scores["test/coverage_80"])
    window = frame[(frame["origin"] == result.origin[3]) & (frame["step"] == 2) & (frame["series"] == "0.1")]
    assert window["target"].tolist() == [target[3, 1, 1]]


def test_a_classification_has_a_row_for_each_sample():
    result = ClassResult(RNG.normal(size=(30, 3)), np.arange(30) % 3, np.arange(100, 130), ("x", "a b", "target"), 0)
    frame = result.frame()
    assert list(frame.columns) == ["index", "target", "prediction", "score/x", "score/a b", "score/target"]
    assert (frame["target"] == frame["prediction"]).mean() == result.scores()["test/accuracy"]
    best = frame.filter(like="score/").idxmax(axis=1).str.removeprefix("score/")
    assert best.tolist() == frame["prediction"].tolist()
    assert frame["index"].tolist() == list(range(100, 130))


def test_a_reconstruction_has_a_row_for_each_image():
    images = np.zeros((2, 1, 4, 4), np.uint8)
    result = ReconstructionResult(
        RNG.uniform(size=8), np.ones(8), RNG.integers(0, 4, (8, 2, 2)), 4, np.arange(8), images, images
    )
    frame = result.frame()
    assert len(frame) == 8
    assert frame["error"].mean() == pytest.approx(result.scores()["test/mse"])


def test_a_denoising_has_a_row_for_each_test_image():
    errors, drawn = RNG.uniform(size=(5, 5)), np.zeros((5, 1, 2, 2), np.uint8)
    result = DenoisingResult(*errors, drawn, drawn, np.ones(5), np.ones(5), np.ones((3, 2)))
    frame = result.frame()
    assert list(frame.columns) == ["index", "time", "noise_error", "image_error", "baseline_error"]
    assert frame["noise_error"].mean() == pytest.approx(result.scores()["test/noise_mae"])


@pytest.mark.parametrize("rollout", [True, False])
def test_fields_have_a_row_for_each_trajectory_step_and_field(rollout):
    error, power, onestep = RNG.uniform(0.5, 1.0, (3, 2, 6, 2))
    result = FieldResult(
        ("u", "p"), error, error, power, power, np.array([4, 7]), onestep if rollout else None, start=3
    )
    frame = result.frame()
    assert ("onestep_error" in frame) == rollout
    row = frame[(frame["index"] == 7) & (frame["step"] == 5) & (frame["field"] == "p")]
    assert row["error"].tolist() == [error[1, 2, 1]]
    sums = frame.groupby(["index", "field"], observed=True)[["error", "power"]].sum()
    relative = (sums["error"] / sums["power"]).groupby("field", observed=True).mean()
    prefix = "test/rollout_relmse" if rollout else "test/relmse"
    assert relative.to_dict() == pytest.approx({name: result.scores()[f"{prefix}/{name}"] for name in ("u", "p")})


def test_a_result_of_a_package_has_a_row_for_each_sample():
    @dataclass(frozen=True)
    class Positions(Result):
        predicted: np.ndarray
        index: np.ndarray
        curve: np.ndarray
        few: np.ndarray
        mean: float

    frame = Positions(np.array([0.5, 0.25]), np.array([8, 9]), np.ones((2, 3)), np.ones(3), 0.4).frame()
    assert frame.to_dict("list") == {"predicted": [0.5, 0.25], "index": [8, 9]}
