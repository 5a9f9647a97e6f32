"""The loss compared with its formula, and the scores computed from the stored predictions."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from generators import walk_frame

import adlx
from adlx.data.series.csv import CSV
from adlx.data.series.windows import Windows
from adlx.models.forecasting.forecaster import Forecaster
from adlx.models.forecasting.seq2seq import Seq2Seq
from adlx.reporting.terminal import report
from adlx.tasks.forecast import Forecast
from adlx.tasks.optimization import Optimization
from adlx.tasks.seeding import seed_generators
from adlx.tasks.task import Task

CONTEXT, HORIZON = 8, 3


class Recorder(Forecaster):
    """Stores its input, and predicts 0.25."""

    def forecast(self, past):
        self.past = past
        return torch.full((len(past), self.spec.horizon, past.shape[2]), 0.25)

    def forward(self, past, future):
        self.future = future
        return self.forecast(past) + 0.5


def data_of(write_csv, **arguments) -> CSV:
    data = CSV(write_csv(walk_frame(120)), context=CONTEXT, horizon=HORIZON, **arguments)
    data.setup("fit")
    return data


def task_of(model_type, data, loss="MSELoss", seed=0, **arguments) -> Forecast:
    torch.manual_seed(0)
    model = model_type(data.spec, **arguments)
    task = Forecast(model, getattr(torch.nn, loss)(), Optimization(torch.optim.Adam), data=data, seed=seed)
    task.fit_statistics(data)
    return task


@pytest.mark.parametrize(("loss", "power"), [("MSELoss", 2), ("L1Loss", 1)])
def test_the_loss_is_in_normalized_units(write_csv, loss, power):
    data = data_of(write_csv)
    task = task_of(Recorder, data, loss)
    batch = next(iter(data.test_dataloader()))
    past = batch.past
    rows = data.rows("test").start - CONTEXT + np.arange(len(past))[:, None] + np.arange(CONTEXT + HORIZON)
    train = data.values[:84]
    scaled = ((data.values - train.mean(axis=0)) / train.std(axis=0))[rows]
    seen, ahead = scaled[:, :CONTEXT], scaled[:, CONTEXT:]
    step = np.abs(np.diff(train, axis=0)).mean(axis=0) / train.std(axis=0)
    deviation = np.maximum(seen.std(axis=1, keepdims=True), step)
    target = (ahead - seen[:, -1:]) / deviation

    loss_value = task.train().batch_loss(batch).item()
    assert loss_value == pytest.approx((np.abs(0.75 - target) ** power).mean(), rel=1e-4)  # forward, with the truth
    np.testing.assert_allclose(task.model.past, (seen - seen[:, -1:]) / deviation, atol=1e-4)
    np.testing.assert_allclose(task.model.future, target, atol=1e-4)
    loss_value = task.eval().batch_loss(batch).item()
    assert loss_value == pytest.approx((np.abs(0.25 - target) ** power).mean(), rel=1e-4)  # forecast, without it

    np.testing.assert_allclose(task.forecast(past), 0.25 * deviation + seen[:, -1:] + 0 * ahead, atol=1e-5)


def test_loss_without_instance_normalisation(write_csv):
    data = data_of(write_csv, instance_norm=False, scaling="minmax")
    task = task_of(Recorder, data)
    batch = next(iter(data.test_dataloader()))
    expected = (batch.future - 0.25).square().mean().item()
    assert task.eval().batch_loss(batch).item() == pytest.approx(expected, rel=1e-6)


# Randomness depends on (seed, step, process)


def stub_trainer(epoch: int = 0, rank: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        current_epoch=epoch,
        num_training_batches=10,
        log_every_n_steps=1000,
        loggers=[],
        global_rank=rank,
        world_size=1,
        state=None,
    )


def test_dropout_repeats_for_the_same_seed_process_and_step(write_csv):
    data = data_of(write_csv)

    def loss(seed: int, epoch: int, batch_idx: int, rank: int = 0) -> float:
        task = task_of(Seq2Seq, data, seed=seed, hidden=8, dropout=0.5, teacher_forcing=0.5, zero_init=False).train()
        task.trainer = trainer = stub_trainer(epoch, rank)
        batch = next(iter(data.val_dataloader()))
        torch.rand(epoch + batch_idx)  # earlier random numbers must not matter
        value = task.training_step(batch, batch_idx).item()
        assert task.steps_done == 10 * trainer.current_epoch + batch_idx + 1
        return value

    first = loss(0, 0, 3)
    assert loss(0, 0, 3) == first
    assert loss(0, 0, 3, rank=1) == loss(0, 0, 3, rank=1)
    others = [loss(0, 0, 4), loss(0, 1, 3), loss(1, 0, 3), loss(0, 0, 3, rank=1)]
    assert len({first, *others}) == 5
    assert loss(0, 1, 0) == loss(0, 0, 10)  # the number of a step does not depend on the length of an epoch


def test_seeding_a_step_gives_the_random_numbers_of_torch():
    torch.manual_seed(123)
    expected = torch.rand(5)
    seed_generators(123, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)


def test_the_mean_validation_loss_weighs_each_window_equally(write_csv, monkeypatch):
    data = data_of(write_csv, batch_size=5, split=(0.5, 0.25, 0.25))
    task = task_of(Recorder, data).eval()
    task.trainer = stub = stub_trainer()
    stub.state = SimpleNamespace(fn="validate")
    logged = {}
    monkeypatch.setattr(Task, "log", lambda self, key, value, **_: logged.update({key: value.item()}))
    batches = list(data.val_dataloader())
    assert [len(batch.past) for batch in batches] == [5, 5, 5, 5, 5, 3]
    batches.append(Windows(batches[0].past[:1], batches[0].future[:1] + 30))
    for index, batch in enumerate(batches):
        task.validation_step(batch, index)
    task.on_validation_epoch_end()
    together = Windows(*(torch.cat([batch[part] for batch in batches]) for part in (0, 1)))
    assert logged["val/loss"] == pytest.approx(task.batch_loss(together).item(), rel=1e-5)
    assert task.validation_sums == []


# Scores


def test_scores_are_those_of_the_stored_predictions(write_csv, tmp_path):
    frame = walk_frame(200, series=2, seed=3)
    run = adlx.train(
        [
            "model=drift",
            "data=csv",
            f"data.path={write_csv(frame)}",
            "data.context=10",
            "data.horizon=4",
            "data.stride=3",
            "logger=none",
            "trainer.threads=1",
            "trainer.accelerator=cpu",
            f"output_dir={tmp_path / 'outputs'}",
        ]
    )
    values, starts = frame.to_numpy(), np.arange(160, 187, 3)  # the targets are in the last 15 % of 200 rows
    target = values[starts[:, None] + np.arange(10, 14)]
    last, first = values[starts + 9][:, None], values[starts][:, None]
    forecast = last + (last - first) / 9 * np.arange(1, 5)[:, None]
    with np.load(run.path / "predictions.npz") as stored:
        np.testing.assert_allclose(stored["prediction"], forecast, rtol=1e-6)
        assert np.array_equal(stored["target"], target)
        assert stored["origin"].tolist() == frame.index[starts + 9].tz_convert(None).to_numpy("datetime64[ns]").tolist()
        assert stored["series"].tolist() == ["S0", "S1"]
        forecast = stored["prediction"]
        naive = np.broadcast_to(stored["last"][:, None], target.shape)
    np.testing.assert_allclose(naive[:, :1], last, rtol=1e-6)

    train = values[:140]
    step, std = np.abs(np.diff(train, axis=0)).mean(axis=0), train.std(axis=0)
    metrics = json.loads((run.path / "metrics.json").read_text())
    for prefix, predicted in (("test", forecast), ("baseline", naive)):
        error = predicted - target
        assert metrics[f"{prefix}/mase"] == pytest.approx((np.abs(error) / step).mean(), rel=1e-5)
        assert metrics[f"{prefix}/mae_scaled"] == pytest.approx((np.abs(error) / std).mean(), rel=1e-5)
        assert metrics[f"{prefix}/mse_scaled"] == pytest.approx(((error / std) ** 2).mean(), rel=1e-5)
        for i, name in enumerate(("S0", "S1")):
            assert metrics[f"{prefix}/mae/{name}"] == pytest.approx(np.abs(error[..., i]).mean(), rel=1e-9)
            assert metrics[f"{prefix}/mse/{name}"] == pytest.approx((error[..., i] ** 2).mean(), rel=1e-9)
    skill = 1 - (np.abs(forecast - target) / step).mean() / (np.abs(naive - target) / step).mean()
    assert metrics["test/skill"] == pytest.approx(skill, abs=1e-6)
    assert math.isclose(metrics["test/skill"], 1 - metrics["test/mase"] / metrics["baseline/mase"], rel_tol=1e-12)


def test_in_sample_scores_are_those_of_the_notebook(write_csv, tmp_path, capsys):
    """One window for training and test, scored with teacher forcing as in the notebook, and without it."""
    run = adlx.train(
        [
            "experiment=a2_seq2seq",
            "data=csv",
            f"data.path={write_csv(walk_frame(120))}",
            "model.hidden=16",
            "trainer.max_epochs=3",
            "logger=none",
            "trainer.threads=1",
            "trainer.accelerator=cpu",
            f"output_dir={tmp_path / 'outputs'}",
        ]
    )
    report(run)
    output = capsys.readouterr().out
    assert "in-sample" in output
    assert "no significant difference" not in output  # a single window has no test
    chosen = run.config["data"]
    assert (chosen["last"], chosen["scaling"], chosen["split"]) == (101, "minmax", None)
    weights = torch.load(run.best, weights_only=True)["state_dict"]
    data = CSV(chosen["path"], last=101, split=None, scaling="minmax", instance_norm=False)
    data.setup("test")
    model = Seq2Seq(data.spec, hidden=16)
    model.load_state_dict({key[6:]: value for key, value in weights.items() if key.startswith("model.")})
    values = data.values
    scaled = torch.from_numpy((values - values.min(axis=0)) / np.ptp(values, axis=0)).float()[None]
    past, future = scaled[:, :96], scaled[:, 96:]
    with torch.no_grad():
        forced = (model(past, future) - future).square().mean().item()
        own = (model.forecast(past) - future).square().mean().item()
        naive = (past[:, -1:] - future).square().mean().item()
        free_running = model.forecast(past)[0].numpy() * np.ptp(values, axis=0) + values.min(axis=0)
    assert run.metrics["insample/mse"] == pytest.approx(forced, rel=1e-4)
    assert run.metrics["insample/mse_autoregressive"] == pytest.approx(own, rel=1e-4)
    assert run.metrics["insample/mse_naive"] == pytest.approx(naive, rel=1e-4)
    with np.load(run.path / "predictions.npz") as stored:
        np.testing.assert_allclose(stored["prediction"][0], free_running, rtol=1e-5)
        assert stored["prediction"].shape == (1, 5, 2)
