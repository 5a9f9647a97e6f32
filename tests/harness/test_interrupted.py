"""A run that fails in the middle of an epoch and is resumed equals an uninterrupted run, with dropout and schedules."""

import pytest
from requirements_of_runs import check_runs_are_equal
from tiny_models import tiny_words

from adlx.tasks.forecast import Forecast

RANDOM = [
    *tiny_words("seq2seq"),
    "model.dropout=0.3",
    "model.layers=2",
    "model.teacher_forcing_final=0.2",
    "model.teacher_forcing_steps=15",
    "optimizer/schedule=cosine",
    "data.repeat=2",
]


def fail_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Makes the training step with this number fail, once."""
    original, calls = Forecast.batch_loss, [0]

    def fail(task, batch):
        if task.training:
            calls[0] += 1
            if calls[0] == call:
                raise OSError("the disk is gone")
        return original(task, batch)

    monkeypatch.setattr(Forecast, "batch_loss", fail)


# An epoch has 14 steps: a step in the middle, the last one, and the first of the next epoch.
@pytest.mark.parametrize("call", [9, 14, 15])
def test_a_resumed_run_repeats_the_failed_step(call, tiny_runs, uninterrupted, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at(patch, call)
        with pytest.raises(OSError, match="the disk is gone"):
            tiny_runs.train(RANDOM, epochs=2)
    run = tiny_runs.failed("seq2seq")
    assert run.info["reason"] == "OSError: the disk is gone"
    check_runs_are_equal(run.resume(), uninterrupted)
    assert run.status == "finished"


@pytest.fixture(scope="module")
def uninterrupted(tiny_runs):
    return tiny_runs.train(RANDOM, epochs=2)
