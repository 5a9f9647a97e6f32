"""Fit, resume, eval and predict of every forecaster with a quantile loss."""

import numpy as np
import pytest
import torch
from requirements_of_runs import (
    check_checkpoints,
    check_evaluation_repeats,
    check_finished_forecast,
    check_future_is_unused,
    check_quantiles,
    check_runs_are_equal,
    is_trainable,
)
from tiny_models import LONGER, forecasters

from adlx.metrics.forecast import ForecastResult
from adlx.models.forecasting.forecaster import ewma_volatility
from adlx.runs.trained import load_trained

WORDS = ("loss=quantile",)


@pytest.fixture(scope="session", params=forecasters())
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def test_fit_and_eval(model, trained):
    run = trained(model, *WORDS)
    check_finished_forecast(run)
    check_checkpoints(run)
    check_quantiles(run)
    check_evaluation_repeats(run)


def test_predict(model, trained, monkeypatch, tmp_path):
    check_future_is_unused(trained(model, *WORDS), monkeypatch, tmp_path)


def test_resume(model, trained, tiny_runs):
    run = trained(model, *WORDS)
    if is_trainable(run):  # a model without weights has no state that depends on the loss
        resumed = tiny_runs.copy(run).resume([f"trainer.max_epochs={LONGER}"])
        check_runs_are_equal(resumed, trained(model, *WORDS, epochs=LONGER))


def quantiles(run) -> ForecastResult:
    return ForecastResult.load(run.path / "predictions.npz")


def test_ewma_differs_from_naive_only_in_its_quantiles(trained):
    naive, ewma = (quantiles(trained(model, *WORDS)) for model in ("naive", "ewma"))
    assert np.array_equal(naive.prediction, ewma.prediction)
    assert np.array_equal(naive.quantiles.naive, ewma.quantiles.naive)
    assert np.array_equal(naive.quantiles.values, naive.quantiles.naive)
    width = [run.quantiles.values[..., -1] - run.quantiles.values[..., 0] for run in (naive, ewma)]
    assert np.abs(width[0] / width[1] - 1).max() > 0.2


def test_intervals_of_ewma_are_proportional_to_the_volatility(trained):
    opened = load_trained(trained("ewma"), [], "test")
    past = torch.cat([batch.past for batch in opened.data.test_dataloader()])
    with torch.inference_mode():
        _, bands = opened.task.distribution(past)
    width = bands[..., -1] - bands[..., 0]
    ratio = width / ewma_volatility(past, 0.94, 2)  # of unscaled changes, since predictions are denormalized
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=0)
    assert (width.amax(dim=0) / width.amin(dim=0)).min() > 1.2
