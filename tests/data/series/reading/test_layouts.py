"""Tables as users have them: what is read, what is said about it, and what is refused with the setting that helps."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adlx.data.series.reading.options import ReadOptions
from adlx.data.series.reading.read_table import read_table
from adlx.data.series.table import Table
from adlx.errors import UserError

ROWS = 240
VALUES = np.random.default_rng(0).normal(size=(ROWS, 2)).cumsum(axis=0) + np.array([10.0, 1000.0])


@pytest.fixture
def said(caplog) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "adlx")
    return caplog


def lines(
    times: Any, values: np.ndarray = VALUES, sep: str = ",", header: str = "time,a,b", form: str = "{:.3f}"
) -> str:
    rows = [
        sep.join([str(time), *(form.format(value) for value in row)]) for time, row in zip(times, values, strict=True)
    ]
    return "\n".join([header.replace(",", sep), *rows]) + "\n"


def hours(form: str = "%Y-%m-%d %H:%M") -> list[str]:
    return pd.date_range("2024-01-01", periods=ROWS, freq="h").strftime(form).tolist()


def read(folder: Path, text: str, name: str = "x.csv", **options) -> Table:
    (folder / name).write_text(text, encoding="utf-8")
    return read_table(folder / name, ReadOptions(**options))


def error_of(folder: Path, text: str, **options) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, text, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ahead(table: Table, steps: int = 3) -> list[Any]:
    return table.written_times(table.clock.ahead(table.frame.index[-1], steps)).tolist()


def holds(table: Table, names: list[str], values: np.ndarray = VALUES) -> None:
    assert list(table.frame.columns) == names
    np.testing.assert_allclose(table.frame.to_numpy(), values, atol=5e-4)


# What comes before the first row


@pytest.mark.parametrize(
    ("text", "names", "note"),
    [
        (lines(hours()), ["a", "b"], ""),
        (lines(hours(), header="time, a , b"), ["a", "b"], ""),
        ("# of a meter\n" + lines(hours()), ["a", "b"], "skipped 1 line(s) above the header"),
        (lines(hours(), sep=";"), ["a", "b"], ""),
        (lines(hours(), sep="\t"), ["a", "b"], ""),
        (lines(hours(), sep="|"), ["a", "b"], ""),
        (lines(hours(), sep=", "), ["a", "b"], ""),
        (lines(hours()).split("\n", 1)[1], ["column_2", "column_3"], "no header: the columns are named column_1 to"),
        (
            "Price,Close,Close\nTicker,AAPL,MSFT\nDate,,\n" + lines(hours()).split("\n", 1)[1],
            ["AAPL", "MSFT"],
            "3 header rows",
        ),
    ],
)
def test_headers_and_separators(tmp_path, said, text, names, note):
    holds(read(tmp_path, text), names)
    assert note in said.text


def test_a_column_of_row_numbers_is_left_out(tmp_path, said):
    rows = lines(hours()).splitlines()
    text = "\n".join([",time,a,b", *(f"{number},{row}" for number, row in enumerate(rows[1:]))])
    holds(read(tmp_path, text), ["a", "b"])
    assert "the first column counts the rows; it is left out" in said.text


def test_two_columns_of_one_name_are_refused(tmp_path):
    message = error_of(tmp_path, lines(hours(), header="time,Close,Close"))
    assert message == "x.csv: columns 2 and 3 are both named Close; give every column a name of its own"


# Numbers


def german(values: np.ndarray, digits: int) -> str:
    return (
        lines(hours("%d.%m.%Y %H:%M"), values, ";", "Datum,Nord,Süd", f"{{:,.{digits}f}}")
        .translate(str.maketrans({",": ".", ".": ","}))
        .replace(",01,2024", ".01.2024")
    )


def test_a_decimal_comma_is_read(tmp_path, said):
    table = read(tmp_path, german(VALUES, 2))
    np.testing.assert_allclose(table.frame.to_numpy(), VALUES, atol=5e-3)
    assert "numbers are read with a decimal comma" in said.text
    assert ahead(table)[0] == "11.01.2024 00:00"


def test_three_digits_after_every_comma_may_be_thousands(tmp_path):
    values = 5 + np.abs(VALUES) % 3
    text = lines(hours(), values, ";", form="{:.3f}").replace(".", ",")
    assert "set data.decimal=comma if the comma is the decimal mark" in error_of(tmp_path, text)
    np.testing.assert_allclose(read(tmp_path, text, decimal="comma").frame.to_numpy(), values, atol=5e-4)
    np.testing.assert_allclose(read(tmp_path, text, decimal="point").frame.to_numpy(), 1000 * values, atol=0.5)


@pytest.mark.parametrize("mark", [",", " ", "'", "\u202f"])
def test_groups_of_thousands_are_read(tmp_path, mark):
    values = 1e6 + 1000 * np.abs(VALUES)
    text = lines(hours(), values, ";", form="{:,.1f}").replace(",", mark)
    np.testing.assert_allclose(read(tmp_path, text).frame.to_numpy(), values, atol=0.06)


@pytest.mark.parametrize("mark", ["?", "-", "N.A.", "missing", "."])
def test_marks_of_absent_values_are_named(tmp_path, mark):
    rows = lines(hours()).splitlines()
    for at in (50, 51, 120):
        rows[at] = rows[at].rpartition(",")[0] + f",{mark}"
    message = error_of(tmp_path, "\n".join(rows))
    assert f"column b has {mark!r} in place of a number (data row 50; 3 such rows)" in message
    assert "data.na_values=[" in message
    table = read(tmp_path, "\n".join(rows), na_values=(mark,), gaps="ffill")
    assert table.filled.sum(axis=0).tolist() == [0, 3]
    assert table.frame["b"].iloc[50] == table.frame["b"].iloc[48]


# Times


@pytest.mark.parametrize(
    ("times", "following"),
    [
        (range(1, ROWS + 1), [241, 242, 243]),
        (range(1800, 1800 + ROWS), [2040, 2041, 2042]),
        ([1.6e9 + 0.5 * step for step in range(ROWS)], None),
        (range(1_600_000_000, 1_600_000_000 + 60 * ROWS, 60), None),
        (range(1_600_000_000_000, 1_600_000_000_000 + 60_000 * ROWS, 60_000), None),
        (range(1_600_000_000_000_000, 1_600_000_000_000_000 + 60_000_000 * ROWS, 60_000_000), None),
        (hours("%Y%m%d %H:%M"), ["20240111 00:00", "20240111 01:00", "20240111 02:00"]),
        (hours("%d.%m.%Y %H:%M"), ["11.01.2024 00:00", "11.01.2024 01:00", "11.01.2024 02:00"]),
        (hours("%m/%d/%Y %I:%M %p"), ["01/11/2024 12:00 AM", "01/11/2024 01:00 AM", "01/11/2024 02:00 AM"]),
        (hours("%Y-%m-%dT%H:%M:%SZ"), ["2024-01-11T00:00:00Z", "2024-01-11T01:00:00Z", "2024-01-11T02:00:00Z"]),
        (hours("%Y-%m-%d %H:%M:%S+09:00"), ["2024-01-11 00:00:00+09:00", "2024-01-11 01:00:00+09:00"]),
    ],
)
def test_forecasts_are_in_the_notation_of_the_file(tmp_path, times, following):
    table = read(tmp_path, lines(times, header="ds,a,b"))
    holds(table, ["a", "b"])
    if following is not None:
        assert ahead(table, len(following)) == following


def test_a_date_and_a_time_of_day_are_one_time(tmp_path, said):
    text = lines(hours("%d/%m/%Y;%H:%M:%S"), sep=";", header="Date;Time,a,b")
    holds(read(tmp_path, text), ["a", "b"])
    assert "time is columns Date and Time" in said.text


def test_of_two_readings_of_a_date_the_regular_one_counts(tmp_path, said):
    months = pd.date_range("2004-01-01", periods=ROWS, freq="MS")
    table = read(tmp_path, lines(months.strftime("%d/%m/%Y")))
    assert table.clock.name == "MS"
    assert ahead(table) == ["01/01/2024", "01/02/2024", "01/03/2024"]
    assert "times are read with the day first" in said.text
    table = read(tmp_path, lines(months.strftime("%m/%d/%Y")))
    assert table.frame.index[1] == pd.Timestamp("2004-02-01", tz="UTC")
    assert ahead(table) == ["01/01/2024", "02/01/2024", "03/01/2024"]


def test_a_date_with_two_regular_readings_is_refused(tmp_path):
    days = pd.date_range("2024-03-01", periods=12).strftime("%d/%m/%Y")
    text = lines(days, VALUES[:12])
    message = error_of(tmp_path, text)
    assert message.endswith("set data.dayfirst=true or data.dayfirst=false")
    assert read(tmp_path, text, dayfirst=True).clock.name == "day"
    assert read(tmp_path, text, dayfirst=False).clock.name == "MS, on day 3"


def test_the_clock_of_summer_time(tmp_path):
    local = pd.date_range("2024-10-20", periods=ROWS, freq="h", tz="Europe/Berlin")
    text = lines(local.strftime("%Y-%m-%d %H:%M"))
    message = error_of(tmp_path, text)
    assert "the clock is set back in Europe/Berlin: set data.timezone" in message
    assert read(tmp_path, text, timezone="Europe/Berlin").frame.index.tolist() == local.tolist()
    local = pd.date_range("2024-03-25", periods=ROWS, freq="h", tz="Europe/Berlin")
    text = lines(local.strftime("%Y-%m-%d %H:%M"))
    assert "summer time skips in Europe/Berlin: set data.timezone" in error_of(tmp_path, text)
    assert read(tmp_path, text, timezone="Europe/Berlin").frame.index.tolist() == local.tolist()
    assert "does not exist in data.timezone=America/New_York" in error_of(
        tmp_path, lines(pd.date_range("2024-03-09 20:00", periods=ROWS, freq="h")), timezone="America/New_York"
    )


# Order


def test_rows_in_another_order_and_repeated_rows(tmp_path):
    rows = lines(hours()).splitlines()
    backwards = "\n".join([rows[0], *rows[:0:-1]])
    assert "from the newest row to the oldest: set data.sort=true" in error_of(tmp_path, backwards)
    holds(read(tmp_path, backwards, sort=True), ["a", "b"])
    twice = "\n".join([*rows[:21], "2024-01-01 19:00,1,2", *rows[21:]])
    assert "set data.duplicates=first, last or mean" in error_of(tmp_path, twice)
    holds(read(tmp_path, twice, duplicates="first"), ["a", "b"])
    assert read(tmp_path, twice, duplicates="last").frame.iloc[19].tolist() == [1, 2]
    mean = (VALUES[19] + [1, 2]) / 2
    np.testing.assert_allclose(read(tmp_path, twice, duplicates="mean").frame.iloc[19], mean, atol=5e-4)


# Long tables


def long_frame(names: tuple[str, str] = ("a", "b"), **columns: str) -> pd.DataFrame:
    wide = pd.DataFrame(VALUES.round(3), columns=list(names), index=pd.date_range("2024-01-01", periods=ROWS, freq="D"))
    table = wide.rename_axis("ds").reset_index().melt("ds", var_name="unique_id", value_name="y")
    return table[["unique_id", "ds", "y"]].rename(columns=columns)


@pytest.mark.parametrize(
    "columns",
    [{}, {"unique_id": "ticker", "ds": "date", "y": "close"}, {"unique_id": "Wohin", "ds": "wann", "y": "wieviel"}],
)
def test_long_tables_are_recognized(tmp_path, said, columns):
    table = read(tmp_path, long_frame(**columns).to_csv(index=False))
    holds(table, ["a", "b"])
    assert table.long_columns == tuple(columns.get(name, name) for name in ("unique_id", "ds", "y"))
    assert "a long table, one series for each" in said.text


def test_the_columns_of_a_long_table_are_named(tmp_path):
    frame = long_frame().assign(other=1.0)
    frame["unique_id"] = frame["unique_id"].map({"a": 17, "b": 18})
    text = frame.drop(columns="y").assign(value=frame["y"]).to_csv(index=False)
    assert "choose with data.columns=[other]" in error_of(tmp_path, text)
    table = read(tmp_path, text, id_column="unique_id", time_column="ds", columns=("value",))
    holds(table, ["17", "18"])


def test_series_of_a_long_table_that_begin_and_end_at_other_times(tmp_path, said):
    frame = long_frame().iloc[7:-5]
    table = read(tmp_path, frame.to_csv(index=False))
    holds(table, ["a", "b"], VALUES[7:-5])
    assert "used where all of them have begun and none has ended" in said.text


def test_repeated_rows_of_a_series(tmp_path):
    frame = pd.concat([long_frame(), long_frame().iloc[[3]]])
    assert "a has more than one row at 2024-01-04 00:00:00" in error_of(
        tmp_path, frame.to_csv(index=False), id_column="unique_id"
    )


# Containers


def test_a_folder_of_files_is_a_long_table(tmp_path, said):
    folder = tmp_path / "prices"
    folder.mkdir()
    for at, name in enumerate(("BRK.B.csv", "MSFT.csv.gz")):
        frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=ROWS), "close": VALUES[:, at]})
        frame.to_csv(folder / name, index=False)
    (folder / "readme.md").write_text("prices")
    holds(read_table(folder), ["BRK.B", "MSFT"])
    assert "1 file(s) of other kinds are not read" in said.text
    pd.DataFrame({"date": ["2024-01-01"], "open": [1.0]}).to_csv(folder / "X.csv", index=False)
    with pytest.raises(UserError, match="all files of a folder must have the same columns"):
        read_table(folder)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_parquet_of_every_timestamp(tmp_path, unit, zone):
    index = pd.date_range("2024-01-01", periods=ROWS, freq="h", tz=zone, name="time").as_unit(unit)
    pd.DataFrame(VALUES, columns=["a", "b"], index=index).to_parquet(tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet")
    np.testing.assert_array_equal(table.frame.to_numpy(), VALUES)
    assert table.shown_times(table.frame.index).tolist() == index.as_unit("us").tolist()
    assert table.zone == zone


def test_parquet_of_decimals_dates_and_strings(tmp_path):
    import datetime
    from decimal import Decimal

    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=step) for step in range(ROWS)]
    columns = {
        "day": days,
        "a": [Decimal(f"{value:.3f}") for value in VALUES[:, 0]],
        "b": VALUES[:, 1].astype("float32"),
    }
    pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet")
    holds(table, ["a", "b"])
    assert table.clock.name == "day"


def test_a_frame(said):
    frame = pd.DataFrame(VALUES, columns=["a", "b"], index=pd.date_range("2024-01-01", periods=ROWS, freq="h"))
    np.testing.assert_array_equal(read_table(frame).frame.to_numpy(), VALUES)
    holds(read_table(long_frame()), ["a", "b"])


def test_excel(tmp_path):
    pytest.importorskip("openpyxl", reason="openpyxl, of adlx[excel], is not installed")
    frame = pd.DataFrame(VALUES.round(3), columns=["a", "b"])
    frame.insert(0, "time", pd.date_range("2024-01-01", periods=ROWS, freq="h"))
    frame.to_excel(tmp_path / "x.xlsx", index=False)
    holds(read_table(tmp_path / "x.xlsx"), ["a", "b"])


def test_excel_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "x.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"^x\.xlsx is an Excel file: pip install 'adlx\[excel\]'$"):
        read_table(tmp_path / "x.xlsx")
