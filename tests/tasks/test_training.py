"""Whole training runs of a small network: losses, divergence, learning rate, and the skill on predictable series."""

import math

import pytest
import torch
from generators import predictable_frame, walk_frame

import adlx
from adlx.runs.loggers import read_curves
from adlx.tasks.forecast import Forecast
from adlx.tasks.task import Diverged


@pytest.fixture
def train(tmp_path, write_csv):
    def run(frame, *words: str):
        return adlx.train(
            [
                "model=seq2seq",
                "data=csv",
                f"data.path={write_csv(frame)}",
                "data.context=24",
                "logger=none",
                "trainer.accelerator=cpu",
                "trainer.threads=1",
                "trainer.log_every_n_steps=1",
                f"output_dir={tmp_path / 'outputs'}",
                *words,
            ]
        )

    return run


def only_run(tmp_path):
    (path,) = (tmp_path / "outputs" / "seq2seq-csv").iterdir()
    return adlx.open_run(path)


TRACE = [1.1971451, 1.1668258, 1.1169095, 1.2412734, 1.1473869, 1.0654160, 1.1491723, 1.1456294]


def test_the_losses_equal_the_stored_trace(train):
    """A difference means that the architecture, the initialization, the order of windows or the optimizer changed."""
    run = train(predictable_frame(400), "trainer.max_epochs=1", "optimizer/schedule=constant")
    losses = read_curves(run.path / "metrics.csv")["train/loss"].dropna().tolist()
    assert losses == pytest.approx(TRACE, rel=1e-4)


# The skill is above 0.84 after 1,300 steps and still rises; the noise limits it to 0.98.
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_predictable_series_is_predicted(train, seed):
    run = train(predictable_frame(), f"seed={seed}", "trainer.max_epochs=10", "data.repeat=5")
    assert run.metrics["test/skill"] > 0.8
    assert run.metrics["test/dm_pvalue"] < 1e-6
    assert all(run.metrics[f"test/skill/S{series}"] > 0.7 for series in range(3))


def test_a_real_market_cannot_be_predicted(train, real_crypto_path):
    """An efficient market: an optimal linear model has a skill near 0 (-0.03 to 0.01). A good score would be a leak."""
    run = train(
        walk_frame(),
        "model=nlinear",
        "data=crypto",
        "data.source=csv",
        f"data.path={real_crypto_path}",
        "data.stride=3",
        "trainer.max_epochs=3",
    )
    assert -0.03 < run.metrics["test/skill"] < 0.015
    assert run.metrics["baseline/mase"] == pytest.approx(run.metrics["test/mase"], rel=0.03)


def nan_weights_at(monkeypatch, call: int) -> None:
    original, calls = Forecast.batch_loss, [0]

    def set_nan(task, batch):
        calls[0] += task.training
        if task.training and calls[0] == call:
            with torch.no_grad():
                task.model.head.weight.fill_(torch.nan)
        return original(task, batch)

    monkeypatch.setattr(Forecast, "batch_loss", set_nan)


def test_a_nan_loss_stops_the_run_at_its_step(train, tmp_path, monkeypatch):
    nan_weights_at(monkeypatch, call=10)
    with pytest.raises(Diverged) as caught:
        train(walk_frame(240), "trainer.max_epochs=3", "data.horizon=3")  # 142 windows, 5 steps an epoch
    run = only_run(tmp_path)
    assert str(caught.value) == (
        "the loss became nan at step 9 (epoch 2): try a lower optimizer.lr or trainer.gradient_clip_val=1; "
        f"last good checkpoint: {run.last}"
    )
    assert run.status == "failed"
    assert run.info["reason"].startswith("Diverged: the loss became nan at step 9 (epoch 2)")
    last = torch.load(run.last, weights_only=True)
    assert last["adlx"]["steps"] == 5  # the end of the first epoch
    assert all(torch.isfinite(value).all() for value in last["state_dict"].values())
    steps = read_curves(run.path / "metrics.csv")
    assert steps["step"].max() == 8
    assert steps["train/loss"].notna().sum() == 9
    assert run.metrics == {}
    monkeypatch.undo()
    resumed = run.resume()  # it continues from the last good checkpoint
    assert resumed.status == "finished"
    assert read_curves(run.path / "metrics.csv")["train/loss"].notna().sum() == 15


def test_an_infinite_loss_at_the_first_steps_stops_the_run(train, tmp_path):
    with pytest.raises(Diverged, match=r"^the loss became inf at step 1 \(epoch 1\).*no checkpoint had been written$"):
        train(
            walk_frame(),
            "optimizer=sgd",
            "optimizer.lr=1e38",
            "loss=mse",
            "trainer.gradient_clip_val=null",
            "trainer.max_epochs=1",
        )
    assert not only_run(tmp_path).last.exists()


def test_a_nan_validation_loss_stops_the_run(train, tmp_path, monkeypatch):
    original = Forecast.batch_loss
    monkeypatch.setattr(
        Forecast, "batch_loss", lambda task, batch: original(task, batch) * (1.0 if task.training else math.nan)
    )
    with pytest.raises(
        Diverged, match=r"^the validation loss became nan after epoch 1; no checkpoint had been written$"
    ):
        train(walk_frame(), "trainer.max_epochs=2", "data.horizon=3")
    assert only_run(tmp_path).status == "failed"


def test_the_rate_follows_the_schedule_over_the_whole_training(train):
    run = train(
        walk_frame(240),
        "optimizer/schedule=cosine",
        "optimizer.schedule.warmup=0.05",
        "optimizer.lr=0.01",
        "trainer.max_epochs=4",
        "data.horizon=3",
    )
    rates = read_curves(run.path / "metrics.csv")["lr"].dropna().tolist()
    assert len(rates) == 20
    assert rates[0] == pytest.approx(0.01)
    expected = [0.01 * (1 + math.cos(math.pi * (step - 1) / 19)) / 2 for step in range(1, 20)]
    assert rates[1:] == pytest.approx(expected, rel=1e-9)
