"""Fit, resume, eval and predict of every forecaster in the configs."""

from pathlib import Path

import numpy as np
import pytest
from requirements_of_runs import (
    check_checkpoints,
    check_evaluation_repeats,
    check_finished_forecast,
    check_future_is_unused,
    check_runs_are_equal,
    is_trainable,
)
from tiny_models import CONTEXT, HORIZON, LONGER, ROWS, forecasters, tiny_words

from adlx.runs.loggers import read_curves


def test_the_scan_finds_the_models():
    assert {"transformer", "seq2seq", "nlinear", "naive", "seasonal_naive", "drift", "ewma"} <= set(forecasters())


@pytest.fixture(scope="session", params=forecasters())
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def test_fit(model, trained):
    run = trained(model)
    check_finished_forecast(run)
    if is_trainable(run):
        curves = read_curves(run.path / "metrics.csv")
        batches = -(-(round(0.7 * ROWS) - CONTEXT - HORIZON + 1) // 32)
        assert list(curves["step"].unique()) == list(range(2 * batches))
        assert curves["train/loss"].notna().sum() == 2 * batches
        assert curves.loc[curves["val/loss"].notna(), "step"].tolist() == [batches - 1, 2 * batches - 1]


def test_checkpoints(model, trained):
    check_checkpoints(trained(model))


def test_eval(model, trained):
    check_evaluation_repeats(trained(model))


def test_predict(model, trained, monkeypatch, tmp_path):
    check_future_is_unused(trained(model), monkeypatch, tmp_path)


def test_resume(model, trained, tiny_runs):
    resumed = tiny_runs.copy(trained(model)).resume([f"trainer.max_epochs={LONGER}"])
    check_finished_forecast(resumed)
    check_runs_are_equal(resumed, trained(model, epochs=LONGER))


def test_fit_again(model, trained, tiny_runs):
    """The same seed gives exactly the same run; another seed gives other losses, if the model trains."""
    run = trained(model)
    other = tiny_runs.train([*tiny_words(model), "seed=1"])
    if not is_trainable(run):
        check_runs_are_equal(other, run)
        return
    check_runs_are_equal(tiny_runs.train(tiny_words(model)), run)
    losses = [read_curves(r.path / "metrics.csv")["train/loss"].dropna().to_numpy() for r in (run, other)]
    assert not np.isclose(*losses, rtol=1e-6).any()


def test_predict_needs_only_one_context(model, trained):
    """Data that are too short for a training window are enough for a forecast."""
    run = trained(model)
    last = run.predict([f"data.last={CONTEXT}"])
    assert np.array_equal(last.to_numpy(), run.predict().to_numpy())
    assert last.shape[0] == HORIZON
    assert list(last.columns[:2]) == ["S0", "S1"]  # columns of quantiles may follow
    assert np.isfinite(last.to_numpy()).all()


@pytest.mark.parametrize("words", [(), ("loss=quantile",)])
def test_skill_of_naive_is_exactly_zero(words, trained):
    metrics = trained("naive", *words).metrics
    assert metrics["test/skill"] == metrics.get("test/crps_skill", 0.0) == 0.0
    assert ("test/crps_skill" in metrics) is bool(words)
    for key, value in metrics.items():
        if key.startswith("baseline/"):
            assert metrics[key.replace("baseline/", "test/")] == value, key


def test_folder_of_a_run_has_the_names_of_model_and_data(tiny_runs, trained):
    run = trained("naive")
    assert run.path.parent == Path(tiny_runs.folder / "outputs" / "naive-csv")
