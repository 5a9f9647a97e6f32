"""The lines of a run that trains without a terminal."""

import logging
from types import SimpleNamespace

import pytest
import torch

from adlx.runs.progress import PlainProgress, ProgressBar


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    """The time between two lines depends on a clock, and a busy machine must not change the test."""
    monkeypatch.setattr("adlx.runs.progress.time", SimpleNamespace(monotonic=lambda: 1000.0))


def lines(caplog, seconds: float, every: int = 1) -> list[str]:
    """The log lines of 4 epochs; every `every`-th epoch is validated."""
    trainer = SimpleNamespace(
        checkpoint_callback=SimpleNamespace(monitor="val/rollout_vrmse"),
        callback_metrics={},
        current_epoch=0,
        max_epochs=4,
        should_stop=False,
        is_global_zero=True,
    )
    progress = PlainProgress(seconds)
    progress.on_train_start(trainer, None)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, "adlx"):
        for epoch in range(4):
            trainer.current_epoch = epoch
            if (epoch + 1) % every == 0:
                metrics = {"val/loss": 0.123456, "val/rollout_vrmse": 0.5, "val/other": 1.0}
                trainer.callback_metrics |= {name: torch.tensor(value) for name, value in metrics.items()}
                progress.on_validation_end(trainer, None)  # type: ignore[arg-type]
            progress.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    return [record.message for record in caplog.records]


def test_a_line_shows_only_the_validation_of_its_epoch(caplog):
    assert lines(caplog, 0.0, every=2) == [
        "epoch 1/4  0 s",
        "epoch 2/4  val/loss 0.12346  val/rollout_vrmse 0.5  0 s",
        "epoch 3/4  0 s",
        "epoch 4/4  val/loss 0.12346  val/rollout_vrmse 0.5  0 s",
    ]


def test_only_the_first_and_the_last_of_fast_epochs_are_logged(caplog):
    assert [line.split("  ")[0] for line in lines(caplog, 60.0)] == ["epoch 1/4", "epoch 4/4"]


def test_the_bar_counts_epochs_from_one():
    bar = ProgressBar()
    for number, max_epochs, text in [
        (0, 10, "Epoch 1/10"),
        (9, 10, "Epoch 10/10"),
        (4, -1, "Epoch 5"),
        (0, None, "Epoch 1"),
    ]:
        bar._trainer = SimpleNamespace(max_epochs=max_epochs)  # type: ignore[assignment]
        assert bar._get_train_description(number).rstrip() == text
