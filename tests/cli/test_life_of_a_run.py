"""Commands in real processes: a run is trained, killed, stopped, resumed, evaluated and compared."""

import json
import random
import shlex
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from generators import walk_frame

import adlx
from adlx.metrics.forecast import ForecastResult
from adlx.runs.loggers import read_curves

EPOCHS, STEPS = 10, 20  # an epoch: 2 passes of 10 batches
WORDS = [
    *("train", "model=seq2seq", "data=csv", "data.path=series.csv", "data.context=16", "data.horizon=3"),
    *("data.repeat=2", "model.hidden=16", "model.layers=2", "model.dropout=0.2", "model.teacher_forcing=0.7"),
    *("optimizer/schedule=cosine", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.log_every_n_steps=1"),
    *(f"trainer.max_epochs={EPOCHS}", "logger=none", "callbacks=checkpoint"),
    "callbacks.checkpoint.every_n_train_steps=7",
]


@pytest.fixture(scope="module")
def shared_shell(new_shell):
    shell = new_shell("life")
    walk_frame(480).to_csv(shell.folder / "series.csv")
    return shell


@pytest.fixture(scope="module")
def whole(shared_shell):
    """A run that is not stopped, trained in this process."""
    words = [word.replace("series.csv", str(shared_shell.folder / "series.csv")) for word in WORDS[1:]]
    return adlx.train([*words, f"output_dir={shared_shell.folder / 'outputs'}"]).path


@pytest.fixture
def call_in_folder(shared_shell, monkeypatch, call):
    """Runs a command in this process, in the folder of the other commands."""
    monkeypatch.chdir(shared_shell.folder)
    return call


def rows(folder: Path | None) -> int:
    curves = folder / "metrics.csv" if folder else None
    return curves.read_text().count("\n") - 1 if curves and curves.is_file() else 0


def stop(shared_shell, words: list[str], at_row: int, signum: int):
    """Sends a signal once metrics.csv has this many rows; returns the ended process and the run's folder."""
    before = set(shared_shell.folder.glob("outputs/*/*"))
    process = shared_shell.start(*words)
    folder = shared_shell.folder / words[1] if words[0] == "resume" else None
    until = time.monotonic() + 100
    while rows(folder) < at_row:
        assert process.poll() is None, shared_shell.wait(process)
        assert time.monotonic() < until
        folder = folder or next(iter(set(shared_shell.folder.glob("outputs/*/*")) - before), None)
        time.sleep(0.002)
    process.send_signal(signum)
    return shared_shell.wait(process), folder


def weights(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def assert_equal_runs(one: Path, other: Path) -> None:
    """Checks that losses of all steps, weights, optimizer states and predictions are equal, bit for bit."""
    first, second = (read_curves(path / "metrics.csv") for path in (one, other))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert len(first) == EPOCHS * (STEPS + 1)
    for name in ("best.ckpt", "last.ckpt"):
        a, b = (weights(path / "checkpoints" / name) for path in (one, other))
        assert a["adlx"]["steps"] == b["adlx"]["steps"]
        assert a["state_dict"].keys() == b["state_dict"].keys()
        assert all(torch.equal(a["state_dict"][key], b["state_dict"][key]) for key in a["state_dict"])
        for state, other_state in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
            for key, averages in state["state"].items():
                assert all(torch.equal(averages[name], other_state["state"][key][name]) for name in averages)
        assert a["lr_schedulers"] == b["lr_schedulers"]
    assert weights(one / "checkpoints" / "last.ckpt")["adlx"]["steps"] == EPOCHS * STEPS
    scores = [json.loads((path / "metrics.json").read_text()) for path in (one, other)]
    assert all(scores[0][key] == scores[1][key] for key in scores[0] if not key.startswith("fit/"))
    a, b = (ForecastResult.load(path / "predictions.npz").prediction for path in (one, other))
    assert np.array_equal(a, b)


def test_a_run_killed_twice_resumes_bit_for_bit(shared_shell, whole, call_in_folder):
    draw = random.Random(20260131)
    killed, folder = stop(shared_shell, WORDS, draw.randrange(2, 6), signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    killed, _ = stop(shared_shell, ["resume", str(folder)], draw.randrange(30, 150), signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    assert killed.lines[:1] == [f"resuming {folder}"]
    assert 7 <= weights(folder / "checkpoints" / "last.ckpt")["adlx"]["steps"] < EPOCHS * STEPS
    resumed = call_in_folder("resume", str(folder))
    assert resumed.err == ""
    assert resumed.run == folder
    assert_equal_runs(folder, whole)


def test_a_run_stopped_twice_resumes_by_the_commands_that_it_prints(shared_shell, whole, call_in_folder):
    command, folder = WORDS, None
    for signum, code, at_row in ((signal.SIGTERM, 143, 25), (signal.SIGINT, 130, 70)):
        stopped, folder = stop(shared_shell, command, at_row, signum)
        assert (stopped.code, stopped.err) == (code, "")
        info = json.loads((folder / "run.json").read_text())
        assert (info["status"], info["reason"]) == ("interrupted", signum.name)
        assert stopped.lines[-1] == f"stopped by {signum.name}; go on with: adlx resume {folder}"
        steps = weights(folder / "checkpoints" / "last.ckpt")["adlx"]["steps"]
        curves = read_curves(folder / "metrics.csv")
        assert steps == curves["train/loss"].notna().sum() == curves["step"].max() + 1
        assert at_row - EPOCHS <= steps < EPOCHS * STEPS
        assert not (folder / "metrics.json").exists()
        _, *command = shlex.split(stopped.lines[-1].partition("go on with: ")[2])
    assert call_in_folder(*command).run == folder
    assert_equal_runs(folder, whole)


def test_a_run_is_evaluated_predicted_with_and_compared(shared_shell, whole, call_in_folder):
    path = str(whole.relative_to(shared_shell.folder))
    series = [word.replace("series.csv", str(shared_shell.folder / "series.csv")) for word in WORDS[2:6]]
    scored = call_in_folder("eval", path)
    assert scored.err == ""
    metrics = json.loads((whole / "metrics.json").read_text())
    again = json.loads((shared_shell.folder / scored.run / "metrics.json").read_text())
    assert again == {key: value for key, value in metrics.items() if key.startswith(("test/", "baseline/"))}

    forecast = call_in_folder("predict", path)
    assert forecast.err == ""
    table = pd.read_csv(shared_shell.folder / forecast.run / "forecast.csv", index_col="time", parse_dates=True)
    assert list(table.index.strftime("%Y-%m-%d %H")) == ["2024-01-21 00", "2024-01-21 01", "2024-01-21 02"]
    last = pd.read_csv(shared_shell.folder / "series.csv", index_col="time").iloc[-1]
    assert np.abs(table / last - 1).to_numpy().max() < 0.1  # in original units

    naive = call_in_folder("train", "model=naive", *series, "logger=none", "trainer.accelerator=cpu")
    assert naive.err == ""
    compared = call_in_folder("compare", path, str(naive.run), "--metric", "test/mase", "--out", "table.csv")
    assert compared.err == ""
    assert compared.lines[-3:] == ["wrote table.csv", "wrote table_series.csv", "wrote table_steps.csv"]
    table = pd.read_csv(shared_shell.folder / "table.csv")
    table = table.set_index(
        table["label"].str.split().str[0]
    )  # after the model, a label names the settings that differ
    assert sorted(table.index) == ["naive", "seq2seq"]
    assert table.loc["seq2seq", "mean"] == metrics["test/mase"]
    assert table.loc["naive", "mean"] == metrics["baseline/mase"]
    assert table["mean"].is_monotonic_increasing
    assert table["mcs_pvalue"].max() == 1.0
