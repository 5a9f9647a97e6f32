"""Every choice of model that forecasts, once more with a loss over quantiles, whether or not it shapes its spread."""

import numpy as np
import pytest
import torch
from demands import (
    checkpoints_are_plain,
    equal_to_the_last_bit,
    evaluates_to_its_own_metrics,
    is_blind_to_the_future,
    is_finished,
    is_trainable,
    quantiles_are_sound,
)
from workshop import LONGER, forecasters

from adlx.metrics.forecast import ForecastResult
from adlx.models.forecasting.forecaster import ewma_volatility
from adlx.runs.trained import open_trained

WORDS = ("loss=quantile",)


@pytest.fixture(scope="session", params=forecasters())
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def test_fit_and_eval(model, trained):
    run = trained(model, *WORDS)
    is_finished(run)
    checkpoints_are_plain(run)
    quantiles_are_sound(run)
    evaluates_to_its_own_metrics(run)


def test_predict(model, trained, monkeypatch, tmp_path):
    is_blind_to_the_future(trained(model, *WORDS), monkeypatch, tmp_path)


def test_resume(model, trained, workshop):
    run = trained(model, *WORDS)
    if is_trainable(run):  # of the others, what there is to resume does not depend on the loss
        resumed = workshop.copy(run).resume([f"trainer.max_epochs={LONGER}"])
        equal_to_the_last_bit(resumed, trained(model, *WORDS, epochs=LONGER))


def quantiles(run) -> ForecastResult:
    return ForecastResult.load(run.path / "predictions.npz")


def test_ewma_differs_from_naive_in_its_quantiles_alone(trained):
    naive, ewma = (quantiles(trained(model, *WORDS)) for model in ("naive", "ewma"))
    assert np.array_equal(naive.prediction, ewma.prediction)
    assert np.array_equal(naive.quantiles.naive, ewma.quantiles.naive)
    assert np.array_equal(naive.quantiles.values, naive.quantiles.naive)
    width = [of.quantiles.values[..., -1] - of.quantiles.values[..., 0] for of in (naive, ewma)]
    assert np.abs(width[0] / width[1] - 1).max() > 0.2


def test_intervals_of_ewma_are_in_proportion_to_the_volatility(trained):
    opened = open_trained(trained("ewma"), [], "test")
    past = torch.cat([past for past, _ in opened.data.test_dataloader()])
    with torch.inference_mode():
        _, bands = opened.task.distribution(past)
    width = bands[..., -1] - bands[..., 0]
    ratio = width / ewma_volatility(past, 0.94, 2)  # of unscaled changes: the normalisation takes itself back
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=0)
    assert (width.amax(dim=0) / width.amin(dim=0)).min() > 1.2
