"""Fewer windows to train on: the last ones before validation, and everything fitted on them alone."""

import numpy as np
import pandas as pd
import pytest
from generators import walk_frame

from adlx.data.series.series import Series
from adlx.data.series.table import Table
from adlx.errors import UserError


def ready(frame: pd.DataFrame, **arguments) -> Series:
    """As a new run has it: set up, checked, and with a scaler that knows the training part."""

    class Given(Series):
        def load(self) -> Table:
            return Table.of(frame, "csv", "given.csv")

    data = Given(**{"context": 6, "horizon": 3, **arguments})
    data.setup("fit")
    data.check_training_part()
    data.scaler.fit(data.training())
    return data


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("count", [1, 5])
def test_the_last_windows_before_validation(count, stride):
    data = ready(walk_frame(100), train_windows=count, stride=stride)
    starts = data.starts("train")
    assert starts.tolist() == [61 - stride * back for back in range(count)][::-1]  # row 69 is the last to train on
    assert data.rows("train") == range(starts[0], 70)
    assert data.about()["windows"]["train"] == count
    assert sum(len(batch.past) for batch in data.train_dataloader()) == count
    whole = ready(walk_frame(100), stride=stride)
    for part in ("val", "test"):
        assert data.rows(part) == whole.rows(part)
        assert data.starts(part).tolist() == whole.starts(part).tolist()


def test_as_many_as_there_are_change_nothing():
    whole, all_of_them = ready(walk_frame(100)), ready(walk_frame(100), train_windows=62)
    assert whole.about() == all_of_them.about()
    assert whole.about()["windows"]["train"] == 62


def test_scaler_and_fingerprint_are_those_of_these_rows():
    frame = walk_frame(100)
    data = ready(frame, train_windows=5)
    assert data.rows("train") == range(57, 70)
    np.testing.assert_allclose(data.scaler.mean, frame.iloc[57:70].mean(), rtol=1e-6)
    np.testing.assert_allclose(data.scaler.step_mae, frame.iloc[57:70].diff().abs().mean(), rtol=1e-6)
    fingerprint = data.about()["fingerprint"]
    for row, same in ((56, True), (57, False), (69, False), (70, True)):
        changed = frame.copy()
        changed.iloc[row, 0] += 1
        other = ready(changed, train_windows=5)
        assert (other.about()["fingerprint"] == fingerprint) is same, row
        assert (other.scaler.mean.tolist() == data.scaler.mean.tolist()) is same, row


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"train_windows": 63}, "data.train_windows=63: the training part has 62"),
        ({"train_windows": 17, "stride": 4}, "data.train_windows=17: the training part has 16"),
        ({"train_windows": 0}, "data.train_windows=0: must be at least 1"),
        (
            {"train_windows": 5, "split": None},
            "data.train_windows=5 needs data.split: in-sample, every part is the whole",
        ),
    ],
)
def test_what_cannot_be(arguments, line):
    with pytest.raises(UserError) as caught:
        ready(walk_frame(100), **arguments)
    assert str(caught.value) == line
