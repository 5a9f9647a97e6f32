"""Clocks are derived from rows, find what is missing, and go on after the last row."""

import numpy as np
import pandas as pd
import pytest

from adlx.data.series.clock_detection import clock_of
from adlx.errors import UserError


def dates(first: str, count: int, freq: str, zone: str = "UTC") -> pd.DatetimeIndex:
    return pd.date_range(first, periods=count, freq=freq, tz=zone)


def session(zone: str, weeks: int = 40) -> pd.DatetimeIndex:
    """The hours of an exchange that is open from 9:30 to 16:30 on Monday to Friday."""
    hours = dates("2023-01-02 09:30", 24 * 7 * weeks, "h", zone)
    return hours[(hours.day_of_week < 5) & (hours.hour >= 9) & (hours.hour < 16)]


MONTHS = dates("2005-01-01", 100, "MS")
FAR = pd.Timedelta(days=14)
DAYS = dates("2023-01-01", 500, "D")
REGULAR = {
    "1 hour": dates("2024-01-01", 400, "h"),
    "15 minutes": dates("2024-01-01", 900, "15min"),
    "7 seconds": dates("2024-01-01", 900, "7s"),
    "4 hours": dates("2024-01-01", 200, "4h", "America/New_York"),
    "day": DAYS,
    "10 days": dates("2024-01-01", 60, "10D"),
    "week": dates("2005-01-01", 60, "W-WED"),
    "2 weeks": dates("2005-01-01", 60, "2W-WED"),
    "Mon Tue Wed Thu Fri": dates("2020-01-01", 800, "B"),
    "Mon Tue Wed Thu Sun": DAYS[DAYS.day_of_week.isin([6, 0, 1, 2, 3])],
    "Tue Fri": DAYS[DAYS.day_of_week.isin([1, 4])],
    "Mon Tue Wed Thu Fri, 35 times a week": session("America/New_York"),
    "MS": MONTHS,
    "MS, on day 15": MONTHS + FAR,
    "MS, on day 30": pd.DatetimeIndex([time.replace(day=min(30, time.days_in_month)) for time in MONTHS]),
    "ME": dates("2005-01-31", 100, "ME"),
    "BME": dates("2005-01-31", 100, "BME"),
    "BMS": dates("2005-01-03", 100, "BMS"),
    "2MS": dates("2005-01-01", 100, "2MS"),
    "QE-DEC": dates("2005-03-31", 60, "QE"),
    "QS-FEB": dates("2005-02-01", 60, "QS-FEB"),
    "YE-JUN": dates("1955-06-30", 60, "YE-JUN"),
    "YS-JAN": dates("1955-01-01", 60, "YS"),
    "WOM-3FRI": dates("2005-01-01", 60, "WOM-3FRI"),
    "LWOM-THU": dates("2005-01-01", 60, "LWOM-THU"),
}
HOLEY = [name for name in REGULAR if not name.startswith("Mon")]  # a lost day of an exchange is a holiday


@pytest.mark.parametrize("name", REGULAR)
def test_the_clock_of_a_part_gives_the_rest(name):
    times = REGULAR[name]
    clock = clock_of(times[:-7], None, "x.csv")
    assert clock.name == name
    assert clock.between(times[0], times[-1]).equals(times.as_unit("ns")) or (
        clock.between(times[0], times[-1]).tolist() == times.tolist()
    )
    assert clock.ahead(times[-8], 7).tolist() == times[-7:].tolist()


@pytest.mark.parametrize("name", HOLEY)
def test_a_hole_does_not_move_the_clock(name):
    times = REGULAR[name]
    lost = [12, 13, 30]
    clock = clock_of(times.delete(lost), None, "x.csv")
    assert clock.name == name
    missing = clock.between(times[0], times[-1]).difference(times.delete(lost))
    assert missing.tolist() == times[lost].tolist()
    assert not clock.is_closed(missing, times.delete(lost)).any()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("freq", ["D", "B", "h", "30min", "MS", "W-SUN"])
def test_forecasts_stay_on_the_clock_of_the_zone(zone, freq):
    """In both zones but Tokyo the clock is changed twice within the rows."""
    times = pd.date_range("2023-01-01", "2024-12-31", freq=freq, tz=zone)
    clock = clock_of(times[:-40] if freq != "MS" else times[:-4], None, "x.csv")
    assert clock.between(times[0], times[-1]).tolist() == times.tolist()


def test_years_and_counters_are_clocks():
    years = pd.Index(range(1900, 1990, 5)).delete(3)
    clock = clock_of(years, None, "x.csv")
    assert clock.name == "5"
    assert clock.between(1900, 1985).difference(years).tolist() == [1915]
    assert clock.ahead(1985, 3).tolist() == [1990, 1995, 2000]


def closed(times: pd.DatetimeIndex) -> np.ndarray:
    clock = clock_of(times, None, "x.csv")
    return clock.is_closed(clock.between(times[0], times[-1]).difference(times), times)


def test_up_to_five_days_without_rows_are_holidays():
    times = REGULAR["Mon Tue Wed Thu Fri"]
    assert closed(times.delete([5, *range(100, 105)])).tolist() == [True] * 6
    assert closed(times.delete([5, *range(100, 106)])).tolist() == [True] + [False] * 6


def test_an_exchange_has_holidays_and_short_days_but_no_holes_in_the_middle():
    times = session("America/New_York")
    holiday = times.normalize() == pd.Timestamp("2023-07-04", tz=times.tz)
    short = (times.normalize() == pd.Timestamp("2023-07-03", tz=times.tz)) & (times.hour >= 13)
    assert closed(times[~holiday & ~short]).tolist() == [True] * 10
    assert closed(times.delete([100])).tolist() == [False]


def test_sessions_in_another_zone_are_not_taken_for_short_days():
    assert not closed(session("America/New_York").tz_convert("UTC")).any()


def test_a_single_session_on_a_saturday_does_not_open_saturdays():
    times = REGULAR["Mon Tue Wed Thu Fri"].append(dates("2021-05-08", 1, "D")).sort_values()
    assert clock_of(times, None, "x.csv").name == "Mon Tue Wed Thu Fri"


def test_a_long_gap_does_not_close_hours_of_the_week():
    times = dates("2024-01-01", 72, "h").append(dates("2024-01-16 03:00", 130, "h"))
    assert clock_of(times, None, "x.csv").name == "1 hour"


RNG = np.random.default_rng(0)
TICKS = pd.DatetimeIndex(np.sort(RNG.choice(10**9, 500, replace=False)) * 10**6, tz="UTC")


@pytest.mark.parametrize("times", [TICKS, pd.Index([1, 2, 4, 7, 19, 23, 40]), MONTHS[:2], DAYS[[0, 3, 4, 9, 11, 30]]])
def test_what_no_clock_explains_is_refused(times):
    with pytest.raises(UserError, match=r"x\.csv.*data\.freq"):
        clock_of(times, None, "x.csv")


def test_a_given_clock_counts():
    times = REGULAR["Mon Tue Wed Thu Fri"][:9]
    assert clock_of(times, "D", "x.csv").name == "day"
    assert clock_of(times, "B", "x.csv").name == "Mon Tue Wed Thu Fri"
    assert clock_of(MONTHS[:2], "MS", "x.csv").name == "MS"
    assert clock_of(MONTHS + FAR, "MS", "x.csv").name == "MS, on day 15"
    assert clock_of(pd.Index([1, 4, 5]), "1", "x.csv").name == "1"


@pytest.mark.parametrize(
    ("freq", "words"),
    [
        ("foo", "data.freq=foo is not a step"),
        ("-1h", "data.freq=-1h must be a step ahead"),
        ("W-TUE", "data.freq=W-TUE does not fit x.csv: no row is expected at 2020-01-02"),
        ("QE", "data.freq=QE does not fit x.csv"),
    ],
)
def test_a_given_clock_must_fit_the_rows(freq, words):
    with pytest.raises(UserError, match=f"^{words}"):
        clock_of(REGULAR["Mon Tue Wed Thu Fri"], freq, "x.csv")
    with pytest.raises(UserError, match="the times are whole numbers"):
        clock_of(pd.Index([1, 2, 3]), "h", "x.csv")
