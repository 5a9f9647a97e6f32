"""A run that broke off in mid-epoch goes on as if nothing had happened, with everything random or scheduled in it."""

import pytest
from demands import equal_to_the_last_bit
from workshop import tiny_words

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


def break_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Lets the training pass with this number fail, once."""
    honest, calls = Forecast.batch_loss, [0]

    def fail(task, batch):
        if task.training:
            calls[0] += 1
            if calls[0] == call:
                raise OSError("the disk is gone")
        return honest(task, batch)

    monkeypatch.setattr(Forecast, "batch_loss", fail)


# Of 14 steps an epoch: in its second pass, the last one, and the first of the next epoch.
@pytest.mark.parametrize("call", [9, 14, 15])
def test_a_failed_step_is_taken_again(call, workshop, uninterrupted, monkeypatch):
    with monkeypatch.context() as patch:
        break_at(patch, call)
        with pytest.raises(OSError, match="the disk is gone"):
            workshop.train(RANDOM, epochs=2)
    run = workshop.failed("seq2seq")
    assert run.info["reason"] == "OSError: the disk is gone"
    equal_to_the_last_bit(run.resume(), uninterrupted)
    assert run.status == "finished"


@pytest.fixture(scope="module")
def uninterrupted(workshop):
    return workshop.train(RANDOM, epochs=2)
