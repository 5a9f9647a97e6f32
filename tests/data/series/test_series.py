"""Splits, windows and scaling of a table of series, by row numbers."""

import numpy as np
import pandas as pd
import pytest
import torch
from generators import walk_frame

from adlx.data.series.csv import CSV
from adlx.data.series.series import Series
from adlx.data.series.table import Table
from adlx.data.splits import PARTS
from adlx.errors import UserError
from adlx.specs import SeriesSpec

STATISTICS = ("shift", "scale", "step", "mean", "std", "step_mae")


class Given(Series):
    """Series over a frame at hand."""

    def __init__(self, given: pd.DataFrame, **arguments) -> None:
        super().__init__(**{"context": 6, "horizon": 3, **arguments})
        self.given = given

    def load(self) -> Table:
        return Table.of(self.given, "csv", "given.csv")


def rows_frame(rows: int = 100) -> pd.DataFrame:
    """A value names its row."""
    index = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time")
    return pd.DataFrame({"row": np.arange(rows, dtype=float), "plus": 1000.0 + np.arange(rows)}, index=index)


def ready(frame: pd.DataFrame, **arguments) -> Given:
    """As a new run has it: set up, checked, and with a scaler that knows the training part."""
    data = Given(frame, **arguments)
    data.setup("fit")
    data.check_training_part()
    data.scaler.fit(data.training())
    return data


def windows(data: Series, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(getattr(data, f"{part}_dataloader")())
    return torch.cat([batch.past for batch in batches]), torch.cat([batch.future for batch in batches])


# Splits


@pytest.mark.parametrize(("rows", "borders"), [(100, (70, 85)), (101, (71, 86)), (240, (168, 204))])
def test_parts_are_shares_of_the_rows_in_time_order(rows, borders):
    data = ready(rows_frame(rows))
    assert [data.rows(part) for part in PARTS] == [range(borders[0]), range(*borders), range(borders[1], rows)]


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_window_belongs_to_the_part_of_its_targets(stride):
    data = ready(rows_frame(), scaling="none", stride=stride)
    targets: list[set[int]] = []
    for part in PARTS:
        past, future = windows(data, part)
        used = torch.cat([past, future], dim=1)[..., 0].int()
        assert torch.equal(used, used[:, :1] + torch.arange(9))  # nine rows in succession
        rows = data.rows(part)
        first = rows.start if part == "train" else rows.start - 6  # the context reaches back
        assert used.min() == first
        assert rows.stop - stride <= used.max() < rows.stop  # and none that fits is left out
        assert len(used) == data.about()["windows"][part]
        assert torch.equal(used[:, 0].sort().values, torch.arange(first, rows.stop - 8, stride))
        targets.append(set(used[:, 6:].flatten().tolist()))
        assert targets[-1] <= set(rows)
    assert not (targets[0] & targets[1] or targets[0] & targets[2] or targets[1] & targets[2])


def test_parts_may_be_shorter_than_a_context():
    data = ready(rows_frame(60), context=40, horizon=5, split=(0.8, 0.1, 0.1))
    assert [len(data.starts(part)) for part in PARTS] == [4, 2, 2]
    assert data.starts("test").tolist() == [14, 15]  # targets in rows 54 to 59


def test_no_window_crosses_a_hole_unless_it_was_filled(write_csv):
    frame = rows_frame().drop(index=rows_frame().index[[30, 31]])
    path = write_csv(frame)
    dropped = CSV(path, context=6, horizon=3, gaps="drop")
    dropped.setup("fit")
    assert dropped.starts("train").tolist() == [*range(22), *range(30, 61)]  # 98 rows, 69 to train on
    filled = CSV(path, context=6, horizon=3, gaps="interpolate", scaling="none")
    filled.setup("fit")
    assert filled.starts("train").tolist() == list(range(62))
    assert filled.values[30:32, 0].tolist() == [30.0, 31.0]
    batches = list(filled.test_dataloader())
    assert all(batch.scored.all() for batch in batches)
    scored = torch.cat([batch.scored for batch in filled.train_dataloader()])
    rows = torch.cat([batch.future for batch in filled.train_dataloader()])[..., 0]
    assert torch.equal(scored[..., 0], (rows != 30) & (rows != 31))


def test_a_target_that_was_filled_in_is_not_among_the_actual_values(write_csv):
    frame = rows_frame()
    frame.iloc[90, 1] = np.nan
    data = CSV(write_csv(frame), context=6, horizon=3, gaps="ffill")
    data.setup("fit")
    target, _ = data.actual("test")
    assert np.isnan(target[..., 1]).sum() == 3
    assert not np.isnan(target[..., 0]).any()
    frame.iloc[88:94] = np.nan
    data = CSV(write_csv(frame), context=6, horizon=3, gaps="ffill")
    data.setup("fit")
    target, _ = data.actual("test")
    assert np.isfinite(target).any(axis=(1, 2)).all()  # a window without any target is no window
    assert len(target) == 13 - 4


def test_only_training_windows_are_shuffled():
    data = ready(rows_frame(), scaling="none")
    for part, ordered in (("train", False), ("val", True), ("test", True)):
        first = windows(data, part)[0][:, 0, 0]
        assert torch.equal(first, first.sort().values) is ordered
    data.seed = 1
    assert not torch.equal(windows(data, "train")[0], windows(ready(rows_frame(), scaling="none"), "train")[0])


def test_in_sample_parts_are_the_whole_series():
    data = ready(rows_frame(9), split=None, scaling="minmax")
    assert data.in_sample
    assert [data.rows(part) for part in PARTS] == [range(9)] * 3
    assert data.about()["windows"] == {"train": 1, "val": 1, "test": 1}
    past, future = windows(data, "test")
    np.testing.assert_allclose(torch.cat([past, future], dim=1)[0, :, 0], np.arange(9) / 8, atol=1e-7)
    assert not ready(rows_frame()).in_sample


def test_actual_is_what_happened_in_the_test_windows():
    data = ready(rows_frame(), stride=2, scaling="log", start="2024-01-01T01:00")
    target, origin = data.actual("test")
    first = 1 + round(99 * 0.85)  # of the file's rows
    assert target[:, 0, 0].tolist() == list(range(first, 98, 2))
    assert np.array_equal(target[:, :, 1] - target[:, :, 0], np.full(target.shape[:2], 1000.0))
    assert origin[0] == np.datetime64("2024-01-01T00") + np.timedelta64(first - 1, "h")
    assert (np.diff(origin) == np.timedelta64(2, "h")).all()
    assert data.scaler.inverse(windows(data, "test")[1]).numpy() == pytest.approx(target, rel=1e-6)


# What is fitted


@pytest.mark.parametrize("scaling", ["standard", "minmax", "log", "none"])
def test_the_scaler_is_fitted_on_the_training_part_alone(scaling):
    frame = walk_frame(100)
    changed = frame.copy()
    changed.iloc[70:] *= 7.0
    before, after = ready(frame, scaling=scaling), ready(changed, scaling=scaling)
    for name in STATISTICS:
        assert torch.equal(getattr(before.scaler, name), getattr(after.scaler, name)), name
    for one, other in zip(windows(before, "train"), windows(after, "train"), strict=True):
        assert torch.equal(one, other)
    changed.iloc[69] *= 7.0  # the last training row
    assert not torch.equal(ready(changed, scaling=scaling).scaler.std, before.scaler.std)
    assert before.scaler.std.numpy() == pytest.approx(frame.iloc[:70].std(ddof=0).to_numpy(), rel=1e-6)


def test_the_fingerprint_is_that_of_the_training_part():
    frame = walk_frame(100)
    fingerprint = ready(frame).about()["fingerprint"]
    assert len(fingerprint) == 64
    assert ready(frame, batch_size=1, stride=3).about()["fingerprint"] == fingerprint
    test_changed, train_changed = frame.copy(), frame.copy()
    test_changed.iloc[80, 0] += 1
    train_changed.iloc[10, 0] = np.nextafter(train_changed.iloc[10, 0], np.inf)
    assert ready(test_changed).about()["fingerprint"] == fingerprint
    for other in (train_changed, frame[["S1", "S0"]], frame.rename(columns={"S0": "X"}), frame.shift(freq="h")):
        assert ready(other).about()["fingerprint"] != fingerprint


# Mistakes, in one line each


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": 0}, "data.context=0: must be at least 1"),
        ({"stride": -1}, "data.stride=-1: must be at least 1"),
        ({"repeat": 0}, "data.repeat=0: must be at least 1"),
        ({"split": (0.7, 0.3, 0.0)}, "data.split=[0.7, 0.3, 0.0]: give three positive shares that sum to 1"),
        ({"split": (0.7, 0.2, 0.2)}, "data.split=[0.7, 0.2, 0.2]: give three positive shares that sum to 1"),
        ({"last": 0}, "data.last=0: must be at least 1"),
        ({"last": -20}, "data.last=-20: must be at least 1"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(UserError) as caught:
        ready(rows_frame(), **arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("rows", "split", "part", "held"),
    [(12, (0.7, 0.15, 0.15), "train", 8), (50, (0.8, 0.04, 0.16), "val", 2), (50, (0.6, 0.36, 0.04), "test", 2)],
)
def test_too_few_rows_for_one_window(rows, split, part, held):
    with pytest.raises(UserError) as caught:
        ready(rows_frame(rows), split=split)
    assert str(caught.value) == (
        f"data.context=6 and data.horizon=3 leave no window in the {part} part ({held} of {rows} rows): lower them, "
        "change data.split, or give more rows"
    )


def test_fewer_rows_than_a_context():
    with pytest.raises(UserError, match=r"^5 rows of given\.csv are left: data\.context=6 needs more$"):
        ready(rows_frame(), last=5)
    with pytest.raises(UserError, match=r"^0 rows of given\.csv are left: data\.context=6 needs more$"):
        ready(rows_frame(), start="2025-01-01")


def test_a_series_that_is_constant_in_the_training_part():
    frame = rows_frame()
    frame.iloc[:70, 1] = 5.0
    with pytest.raises(UserError, match=r"^series plus is constant in the training part"):
        ready(frame)


@pytest.mark.parametrize("row", [20, 90])
def test_a_value_without_logarithm_in_any_part(row):
    frame = rows_frame() + 1
    frame.iloc[row, 0] = -4.0
    with pytest.raises(
        UserError, match=rf"^data\.scaling=log needs positive values: row is -4 in row {row} of the data"
    ):
        ready(frame, scaling="log")
    assert ready(frame, scaling="minmax").values[row, 0] == -4.0


def test_a_time_that_is_none():
    with pytest.raises(UserError, match=r"^data\.start=yesterdy is not a time: write it as 2024-01-31"):
        ready(rows_frame(), start="yesterdy")


# Start, end, last


def test_start_and_end_are_inclusive_and_last_counts_from_the_end():
    data = ready(rows_frame(), start="2024-01-01T10:00", end="2024-01-04T05:00+02:00")  # the end is 03:00 UTC
    assert data.values[[0, -1], 0].tolist() == [10.0, 75.0]
    data = ready(rows_frame(), end="2024-01-04T03:00", last=60, split=(0.6, 0.2, 0.2))
    assert data.values[[0, -1], 0].tolist() == [16.0, 75.0]
    assert data.about()["rows"] == 60
    pinned = data.pinned(data.about())
    assert pinned == {"first": "2024-01-01T16:00:00+00:00", "end": "2024-01-04T03:00:00+00:00"}
    later = Given(rows_frame(200), end=pinned["end"], split=(0.6, 0.2, 0.2))  # the file has grown; the run has not
    later.first = pinned["first"]
    later.setup("fit")
    assert np.array_equal(later.values, data.values)
    assert later.about() == data.about()


# Other data for a trained model


def test_other_data_conform_to_the_trained_series(caplog):
    frame = walk_frame(100, series=3)
    data = Given(frame)
    data.expected_spec = SeriesSpec(("S2", "S0"), context=6, horizon=3)
    with caplog.at_level("INFO", logger="adlx"):
        data.setup("test")
    assert caplog.messages == ["ignoring series that the run was not trained on: S1"]
    assert data.spec.series == ("S2", "S0")
    assert np.array_equal(data.values, frame[["S2", "S0"]].to_numpy())
    assert data.scaler.mean.tolist() == [1.0, 1.0]  # not fitted: the statistics come with the checkpoint
    data = Given(frame)
    data.expected_spec = SeriesSpec(("S0", "gold"), context=6, horizon=3)
    with pytest.raises(UserError) as caught:
        data.setup("test")
    assert str(caught.value) == "the run was trained on the series S0, gold; given.csv lacks gold (it has S0, S1, S2)"


# The steps to come


def latest(index: pd.DatetimeIndex, **arguments) -> tuple[torch.Tensor, pd.DatetimeIndex]:
    values = np.arange(len(index), dtype=float)
    data = Given(pd.DataFrame({"a": values, "b": -values}, index=index), scaling="none", **arguments)
    data.read()
    return data.latest()


@pytest.mark.parametrize("rows", [6, 60])
def test_the_latest_window_is_the_last_context(rows):
    past, ahead = latest(pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC"))
    assert past[0, :, 0].tolist() == list(range(rows - 6, rows))
    assert past[0, :, 1].tolist() == [-row for row in range(rows - 6, rows)]
    assert ahead[0] == pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(hours=rows)


@pytest.mark.parametrize(
    ("freq", "start", "expected"),
    [
        ("h", "2024-02-26T00:00", ["2024-02-29T12", "2024-02-29T13", "2024-02-29T14"]),
        ("15min", "2024-02-29T03:00", ["2024-03-01T00:00", "2024-03-01T00:15", "2024-03-01T00:30"]),
        ("D", "2023-12-07", ["2024-02-29", "2024-03-01", "2024-03-02"]),
        ("B", "2023-12-07", ["2024-03-29", "2024-04-01", "2024-04-02"]),  # from Thursday over a weekend
        ("MS", "2017-03-01", ["2024-03-01", "2024-04-01", "2024-05-01"]),
        ("W-FRI", "2022-10-14", ["2024-03-08", "2024-03-15", "2024-03-22"]),
    ],
)
def test_times_ahead_go_on_as_the_data_did(freq, start, expected):
    times = pd.date_range(start, periods=84, freq=freq, tz="UTC")
    if freq in ("B", "W-FRI"):
        times = times[: 81 if freq == "B" else 73]
    _, ahead = latest(times)
    assert ahead.tolist() == [pd.Timestamp(time, tz="UTC") for time in expected]


def test_a_missing_row_does_not_change_the_step():
    times = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC").delete([40])
    assert latest(times)[1].tolist() == list(pd.date_range("2024-01-03T12", periods=3, freq="h", tz="UTC"))


def test_there_is_no_forecast_from_a_window_with_a_hole():
    times = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC").delete([57])
    with pytest.raises(
        UserError, match=r"^given\.csv has a hole in its last 6 rows, from which to forecast: data\.gaps"
    ):
        latest(times)


def test_a_holiday_does_not_bring_back_weekends():
    """Real business-day data always lack some days; no row of the future may fall on a Saturday for that."""
    days = pd.bdate_range("2024-01-01", "2024-05-02", tz="UTC")
    days = days[days != pd.Timestamp("2024-05-01", tz="UTC")]  # ends on a Thursday
    expected = [pd.Timestamp(day, tz="UTC") for day in ("2024-05-03", "2024-05-06", "2024-05-07")]
    assert latest(days, context=20)[1].tolist() == expected


def test_a_context_of_one_week_does_not_hide_the_weekend():
    days = pd.bdate_range("2024-01-01", "2024-05-03", tz="UTC")  # its last five rows are Monday to Friday
    expected = [pd.Timestamp(day, tz="UTC") for day in ("2024-05-06", "2024-05-07", "2024-05-08")]
    assert latest(days, context=5)[1].tolist() == expected
