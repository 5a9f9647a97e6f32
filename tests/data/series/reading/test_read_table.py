"""`read_table` on files as users have them: what is read, what is said aloud, and every error in one line."""

import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adlx.data.series.reading.options import ReadOptions
from adlx.data.series.reading.read_table import read_table
from adlx.data.series.table import Table, check_frame
from adlx.errors import UserError

HOURLY = "time,a,b\n2020-01-01 00:00,1,10\n2020-01-01 01:00,2,20\n2020-01-01 02:00,4,15\n"


def write(folder: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def user_error_of(path: Path, **options) -> str:
    with pytest.raises(UserError) as caught:
        read_table(path, ReadOptions(**options))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_values_clock_and_dtypes(tmp_path):
    table = read_table(write(tmp_path, HOURLY))
    expected = pd.DataFrame(
        {"a": [1.0, 2.0, 4.0], "b": [10.0, 20.0, 15.0]},
        index=pd.date_range("2020-01-01", periods=3, freq="h", tz="UTC", name="time", unit="us"),
    )
    pd.testing.assert_frame_equal(table.frame, expected, check_freq=False)
    assert (table.source, table.detail, table.simulated) == ("csv", "x.csv", False)
    assert Table.of(table.frame, "simulated", "seed 0").simulated
    assert table.clock.name == "1 hour"


def test_same_table_from_every_container(tmp_path):
    plain = read_table(write(tmp_path, HOURLY)).frame
    frame = plain.tz_convert("Asia/Tokyo")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(HOURLY.encode()))
    plain.to_csv(tmp_path / "x.zip")
    plain.to_parquet(tmp_path / "index.parquet")
    plain.reset_index().to_parquet(tmp_path / "column.parquet")
    frame.to_parquet(tmp_path / "tokyo.parquet")
    frame.rename_axis(None).to_csv(tmp_path / "unnamed.csv")
    write(tmp_path, HOURLY.replace(",", ";"), "semicolon.csv")
    write(tmp_path, b"\xef\xbb\xbf" + HOURLY.encode(), "bom.csv")
    for name in ("x.csv.gz", "x.zip", "index.parquet", "column.parquet", "semicolon.csv", "bom.csv"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name).frame, plain, check_freq=False)
    for name in ("tokyo.parquet", "unnamed.csv"):  # their own zone stays
        read = read_table(tmp_path / name).frame
        assert str(read.index[0])[-6:] == "+09:00"
        pd.testing.assert_frame_equal(read.tz_convert("UTC"), plain, check_freq=False)


@pytest.mark.parametrize(
    ("first", "second", "utc", "freq"),
    [
        ("1600000000", "1600003600", "2020-09-13 12:26:40", "h"),
        ("1600000000000", "1600003600000", "2020-09-13 12:26:40", "h"),
        ("20200101", "20200102", "2020-01-01", "D"),
        ("2020-03-29T01:30:00+01:00", "2020-03-29T03:30:00+02:00", "2020-03-29 00:30", "h"),
        ("13/02/2020", "14/02/2020", "2020-02-13", "D"),
        ("Jan 31 2020 10:00PM", "Jan 31 2020 11:00PM", "2020-01-31 22:00", "h"),
    ],
)
def test_forms_of_time(tmp_path, first, second, utc, freq):
    index = read_table(write(tmp_path, f"date,a\n{first},1\n{second},2\n"), ReadOptions(freq=freq)).frame.index
    assert index[0] == pd.Timestamp(utc, tz="UTC")
    assert str(index.dtype).startswith("datetime64[us, ")


def test_time_column_is_named_or_found(tmp_path, caplog):
    caplog.set_level(logging.INFO, "adlx")
    path = write(
        tmp_path, "opened,closed,a\n2020-01-01,2020-01-02,1\n2020-01-02,2020-01-03,2\n2020-01-03,2020-01-04,4\n"
    )
    assert read_table(path).frame.index[0] == pd.Timestamp("2020-01-01", tz="UTC")
    assert "time is column opened (not closed)" in caplog.text
    assert read_table(path, ReadOptions(time_column="closed")).frame.index[0] == pd.Timestamp("2020-01-02", tz="UTC")


def test_columns_are_chosen_in_order_and_text_is_ignored_aloud(tmp_path, caplog):
    caplog.set_level(logging.INFO, "adlx")
    path = write(tmp_path, "time,a,note,b\n2020-01-01,1,x,3\n2020-01-02,2,4,5\n2020-01-03,3,y,7\n")
    assert list(read_table(path).frame) == ["a", "b"]
    assert "ignored columns that are not numeric: note (data row 1: 'x')" in caplog.text
    assert list(read_table(path, ReadOptions(columns=("b", "a"))).frame) == ["b", "a"]
    assert "column note is not numeric (data row 1: 'x')" in user_error_of(path, columns=("note",))
    assert "no column B; did you mean b? it has time, a, note, b" in user_error_of(path, columns=("B",))
    assert "no column tim; did you mean time?" in user_error_of(path, time_column="tim")
    assert "time is the time column" in user_error_of(path, columns=("time",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "x.csv is empty"),
        (b"time,a\n", "holds no data row"),
        (bytes(range(128, 256)) * 20, "cannot be read as CSV"),
        (b"time,a\n2020-01-01,1\n2020-01-02,1,3,4\n", "Expected 2 fields in line 3, saw 4"),
        (b"time,a\n2020-01-01,1,5\n2020-01-02,1,6\n", "have 3 fields, more than the header, which has 2"),
        (b"x,y\n1,2\n3,4\n", "no column of times among x, y"),
        (b"time,a\n0.5,1\n2,2\n", "neither a count nor seconds, ms, us or ns since 1970"),
        (b"time,a\n2020-01-01,1\nnoon,2\n2020-01-03,3\n", "column time, data row 2: 'noon'"),
        (b"time,a\n2020-01-01,1\n,2\n2020-01-03,3\n", "no timestamp in data row 2"),
        (b"time,b\n2020-01-01,x\n2020-01-02,y\n", "no numeric column other than time"),
        (
            b"time,a\n2020-01-01,1\n2020-01-02,2\n2020-01-02,3\n",
            "2020-01-02 00:00:00 occurs more than once (data rows 2",
        ),
        (b"time,a\n2020-01-01,1\n2020-01-03,2\n2020-01-02,3\n", "data row 3 (2020-01-02 00:00:00) is before row 2"),
        (b"time,a\n2020-01-03,1\n2020-01-02,2\n2020-01-01,3\n", "from the newest row to the oldest"),
        (b"time,a\n2020-01-01,1\n2020-01-02,-inf\n", "column a is infinite at 2020-01-02 00:00:00 (data row 2)"),
        (b"time,a,b\n2020-01-01,,1\n2020-01-02,,2\n", "column a has no value at all"),
        (b"time,a\n2020-01-01,1\n", "has 1 row(s), too few to see their step"),
    ],
)
def test_faults_of_a_file(tmp_path, content, says):
    assert says in user_error_of(write(tmp_path, content))


def test_faults_of_a_path(tmp_path):
    assert "does not exist" in user_error_of(tmp_path / "absent.csv")
    assert "is a folder without a CSV, Parquet or Excel file" in user_error_of(tmp_path)
    assert "cannot be read as Parquet" in user_error_of(write(tmp_path, b"abc", "x.parquet"))
    assert "cannot be read as CSV" in user_error_of(write(tmp_path, b"not gzip", "x.csv.gz"))
    assert "cannot be read as CSV" in user_error_of(write(tmp_path, gzip.compress(HOURLY.encode())[:30], "cut.csv.gz"))
    assert "data.gaps=fill is unknown; choose one of error, drop, ffill, interpolate" in user_error_of(
        tmp_path, gaps="fill"
    )


GAPPY = HOURLY.replace("00:00,1,", "00:00,,") + "2020-01-01 05:00,3,\n2020-01-01 06:00,4,6\n2020-01-01 07:00,5,7\n"


def test_gaps_are_counted_and_refused(tmp_path):
    message = user_error_of(write(tmp_path, GAPPY))
    assert "2 rows with an empty value (first a at 2020-01-01 00:00:00)" in message
    assert "2 missing times (first 2020-01-01 03:00:00)" in message
    assert "data.gaps=ffill or interpolate fills them" in message
    assert "drop leaves them out" in message


def test_gaps_are_dropped_or_filled_aloud(tmp_path, caplog):
    caplog.set_level(logging.INFO, "adlx")
    path = write(tmp_path, GAPPY)
    dropped = read_table(path, ReadOptions(gaps="drop")).frame
    assert dropped["a"].tolist() == [2, 4, 4, 5]
    assert dropped.index.hour.tolist() == [1, 2, 6, 7]
    assert "2 rows with an empty value" in caplog.text
    assert "they are left out" in caplog.text
    caplog.clear()
    filled = read_table(path, ReadOptions(gaps="ffill")).frame
    assert filled["a"].tolist() == [2, 4, 4, 4, 3, 4, 5]
    assert filled["b"].tolist() == [20, 15, 15, 15, 15, 6, 7]
    assert "2 missing times" in caplog.text
    assert "dropped the first 1 row" in caplog.text
    assert filled.index.name == "time"
    assert str(filled.index.dtype) == "datetime64[us, UTC]"


def daily(index: pd.DatetimeIndex, path: Path) -> Path:
    pd.DataFrame({"a": np.arange(float(len(index)))}, index=index).to_csv(path, index_label="date")
    return path


def test_weekends_and_holidays_are_no_gaps_but_a_longer_stretch_is(tmp_path, caplog):
    caplog.set_level(logging.INFO, "adlx")
    days = pd.bdate_range("2020-01-01", periods=60)
    assert len(read_table(daily(days, tmp_path / "full.csv")).frame) == 60
    assert caplog.text == ""
    assert len(read_table(daily(days.delete([5, 20, 21]), tmp_path / "x.csv")).frame) == 57
    assert "3 missing times counted as holidays" in caplog.text
    path = daily(days.delete(range(20, 27)), tmp_path / "y.csv")
    assert "7 missing times (first 2020-01-29 00:00:00)" in user_error_of(path)
    filled = read_table(path, ReadOptions(gaps="ffill")).frame
    assert filled.index.tz_localize(None).tolist() == days.tolist()
    assert (filled["a"].iloc[19:27] == 19).all()


@pytest.mark.parametrize("timezone", ["America/New_York", "Europe/London", "Asia/Tokyo"])
def test_exchange_midnights_keep_their_working_week(tmp_path, caplog, timezone):
    caplog.set_level(logging.INFO, "adlx")
    read_table(daily(pd.bdate_range("2020-01-01", periods=260, tz=timezone), tmp_path / "x.csv"))
    assert "counted as holidays" not in caplog.text


def test_seven_day_data_and_uneven_calendars(tmp_path):
    days = pd.date_range("2020-01-01", periods=30)
    assert "1 missing time (first 2020-01-11 00:00:00)" in user_error_of(daily(days.delete(10), tmp_path / "d.csv"))
    for freq in ("ME", "QE", "YE"):
        assert (
            len(read_table(daily(pd.date_range("2000-01-01", periods=30, freq=freq), tmp_path / "m.csv")).frame) == 30
        )
    months = pd.date_range("2000-01-01", periods=30, freq="MS").delete(4)
    assert "1 missing time (first 2000-05-01" in user_error_of(daily(months, tmp_path / "m.csv"))


def test_ticks_have_no_step_and_a_wild_timestamp_is_refused(tmp_path):
    ticks = pd.DatetimeIndex(np.cumsum(2.0 ** np.arange(20)) * 1e9)
    assert "its rows have no common step" in user_error_of(daily(ticks, tmp_path / "t.csv"))
    seconds = pd.date_range("2020-01-01", periods=20, freq="s").insert(0, pd.Timestamp("1970-01-01"))
    message = user_error_of(daily(seconds, tmp_path / "s.csv"), gaps="ffill")
    assert "between data row 1 (1970-01-01 00:00:00+00:00) and row 2 (2020-01-01 00:00:00+00:00)" in message


def test_check_frame_refuses_what_a_table_may_not_hold(tmp_path):
    frame = read_table(write(tmp_path, HOURLY)).frame
    assert check_frame(frame, "here") is frame
    with pytest.raises(UserError, match="here: column b has no value at 2020-01-01 01:00:00"):
        check_frame(frame.assign(b=[1, np.nan, 2]), "here")
    with pytest.raises(UserError, match="here has no index of times with a zone, or of whole numbers"):
        check_frame(frame.tz_localize(None), "here")
