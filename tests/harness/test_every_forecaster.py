"""Every choice of model that forecasts, found by scanning, through fit, resume, eval and predict."""

from pathlib import Path

import numpy as np
import pytest
from demands import (
    checkpoints_are_plain,
    equal_to_the_last_bit,
    evaluates_to_its_own_metrics,
    is_blind_to_the_future,
    is_finished,
    is_trainable,
)
from workshop import CONTEXT, HORIZON, LONGER, ROWS, forecasters, tiny_words

from adlx.runs.loggers import read_curves


def test_the_scan_finds_the_models():
    assert {"transformer", "seq2seq", "nlinear", "naive", "seasonal_naive", "drift", "ewma"} <= set(forecasters())


@pytest.fixture(scope="session", params=forecasters())
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def test_fit(model, trained):
    run = trained(model)
    is_finished(run)
    if is_trainable(run):
        curves = read_curves(run.path / "metrics.csv")
        batches = -(-(round(0.7 * ROWS) - CONTEXT - HORIZON + 1) // 32)
        assert list(curves["step"].unique()) == list(range(2 * batches))
        assert curves["train/loss"].notna().sum() == 2 * batches
        assert curves.loc[curves["val/loss"].notna(), "step"].tolist() == [batches - 1, 2 * batches - 1]


def test_checkpoints(model, trained):
    checkpoints_are_plain(trained(model))


def test_eval(model, trained):
    evaluates_to_its_own_metrics(trained(model))


def test_predict(model, trained, monkeypatch, tmp_path):
    is_blind_to_the_future(trained(model), monkeypatch, tmp_path)


def test_resume(model, trained, workshop):
    resumed = workshop.copy(trained(model)).resume([f"trainer.max_epochs={LONGER}"])
    is_finished(resumed)
    equal_to_the_last_bit(resumed, trained(model, epochs=LONGER))


def test_fit_again(model, trained, workshop):
    """The same words, the same bits; another seed, others, unless there is nothing to draw."""
    run = trained(model)
    other = workshop.train([*tiny_words(model), "seed=1"])
    if not is_trainable(run):
        equal_to_the_last_bit(other, run)
        return
    equal_to_the_last_bit(workshop.train(tiny_words(model)), run)
    losses = [read_curves(r.path / "metrics.csv")["train/loss"].dropna().to_numpy() for r in (run, other)]
    assert not np.isclose(*losses, rtol=1e-6).any()


def test_the_past_is_enough(model, trained):
    """The product is there for data that hold no whole training window: a context and not one row more."""
    run = trained(model)
    last = run.predict([f"data.last={CONTEXT}"])
    assert np.array_equal(last.to_numpy(), run.predict().to_numpy())
    assert last.shape[0] == HORIZON
    assert list(last.columns[:2]) == ["S0", "S1"]  # quantiles may follow
    assert np.isfinite(last.to_numpy()).all()


@pytest.mark.parametrize("words", [(), ("loss=quantile",)])
def test_naive_skill_is_zero_to_the_last_bit(words, trained):
    metrics = trained("naive", *words).metrics
    assert metrics["test/skill"] == metrics.get("test/crps_skill", 0.0) == 0.0
    assert ("test/crps_skill" in metrics) is bool(words)
    for key, value in metrics.items():
        if key.startswith("baseline/"):
            assert metrics[key.replace("baseline/", "test/")] == value, key


def test_folder_of_a_run(workshop, trained):
    run = trained("naive")
    assert run.path.parent == Path(workshop.folder / "outputs" / "naive-csv")
