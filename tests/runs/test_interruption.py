"""A signal stops training after the current step; a checkpoint is saved and the resume command is shown."""

import logging
import os
import signal
from pathlib import Path

import pytest

import adlx
from adlx.errors import RunFailed
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.interruption import Interrupted, Interruptible
from adlx.runs.loggers import read_curves
from adlx.tasks.forecast import Forecast
from adlx.tasks.task import Diverged


def signal_in(monkeypatch, call: int, *signums: int) -> list[int]:
    """Sends signals to this process in training step number `call`; returns the numbers of all started steps."""
    original, calls = Forecast.batch_loss, []

    def loss(task, batch):
        if task.training:
            calls.append(len(calls) + 1)
            if len(calls) == call:
                for signum in signums:
                    os.kill(os.getpid(), signum)
        return original(task, batch)

    monkeypatch.setattr(Forecast, "batch_loss", loss)
    return calls


def only_run(tmp_path):
    (path,) = (tmp_path / "outputs" / "nlinear-csv").iterdir()
    return adlx.open_run(path)


# An epoch has four steps: a signal within an epoch, in its last step, and in the first step of the next epoch.
@pytest.mark.parametrize(
    ("call", "signum", "code"), [(3, signal.SIGINT, 130), (4, signal.SIGTERM, 143), (5, signal.SIGTERM, 143)]
)
def test_a_signal_stops_training_between_two_steps(small, finished, tmp_path, monkeypatch, caplog, call, signum, code):
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    caplog.set_level(logging.INFO, "adlx")
    with monkeypatch.context() as patch:
        started = signal_in(patch, call, signum)
        with pytest.raises(Interrupted) as caught:
            small()
    assert isinstance(caught.value, KeyboardInterrupt) == (signum == signal.SIGINT)
    assert started[-1] == call  # this step was finished, and no other one started
    assert (caught.value.exit_code, caught.value.signum, str(caught.value)) == (code, signum, signum.name)
    run = only_run(tmp_path)
    assert (run.status, run.info["reason"]) == ("interrupted", signum.name)
    assert load_checkpoint(run.last)["adlx"]["steps"] == call
    assert read_curves(run.path / "metrics.csv")["train/loss"].notna().sum() == call
    assert caplog.messages[-1] == f"stopped by {signum.name}; go on with: adlx resume {run.path}"
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert run.metrics == {}
    assert run.resume().metrics["test/mase"] == finished.metrics["test/mase"]


def test_a_second_signal_stops_at_once(small, tmp_path, monkeypatch):
    """It stops in the middle of the step, which does not count."""
    signal_in(monkeypatch, 3, signal.SIGINT, signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        small()
    assert caught.value.exit_code == 143
    run = only_run(tmp_path)
    assert (run.status, run.info["reason"]) == ("interrupted", "SIGTERM")
    assert load_checkpoint(run.last)["adlx"]["steps"] == 2


def test_outside_training_one_signal_is_enough():
    with Interruptible(trainer=None) as within, pytest.raises(Interrupted, match="SIGTERM"):  # type: ignore[arg-type]
        assert not within.fitting
        signal.raise_signal(signal.SIGTERM)


def test_except_exception_does_not_catch_an_interruption():
    assert not issubclass(Interrupted, Exception)
    assert [Interrupted(signum).exit_code for signum in (signal.SIGINT, signal.SIGTERM)] == [130, 143]


def test_a_diverging_run_keeps_its_last_good_checkpoint(small, tmp_path, monkeypatch):
    """It diverges at step 6, the third of epoch 2: the checkpoints from the end of epoch 1 do not change."""
    original, calls, kept = Forecast.batch_loss, [0], []

    def loss(task, batch):
        calls[0] += task.training
        if task.training and calls[0] == 7:
            folder = Path(task.trainer.default_root_dir) / "checkpoints"
            kept.extend((folder / f"{name}.ckpt").read_bytes() for name in ("best", "last"))
        return original(task, batch) * (float("inf") if task.training and calls[0] >= 7 else 1)

    monkeypatch.setattr(Forecast, "batch_loss", loss)
    with pytest.raises(Diverged) as caught:
        small()
    run = only_run(tmp_path)
    assert str(caught.value) == (
        "the loss became inf at step 6 (epoch 2): try a lower optimizer.lr or trainer.gradient_clip_val=1; "
        f"last good checkpoint: {run.last}"
    )
    assert isinstance(caught.value, RunFailed)
    assert caught.value.exit_code == 1
    assert run.status == "failed"
    assert run.info["reason"].startswith("Diverged: the loss became inf at step 6 (epoch 2)")
    assert [run.best.read_bytes(), run.last.read_bytes()] == kept
    assert load_checkpoint(run.last)["adlx"]["steps"] == 4
