"""Time zones of files: what their offsets say, and clock times that a change to summer time skips or repeats."""

import zoneinfo

import numpy as np
import pandas as pd

from adlx.errors import UserError

COMMON = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/Helsinki", "Europe/Lisbon", "Australia/Sydney", "America/Sao_Paulo", "America/Santiago", "Pacific/Auckland",
)  # fmt: skip
"""Zones with summer time, one for each of the usual rules; the first that fits is named."""


def in_zone(index: pd.DatetimeIndex, timezone: str | None, where: str) -> pd.DatetimeIndex:
    """Times in the zone; times without a zone are clock times of it, or of UTC if it is None.

    Raises:
        UserError: there is no such zone, or it skips one of the clock times.
    """
    if timezone is None:
        return index.tz_localize("UTC") if index.tz is None else index
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"data.timezone={timezone} is no time zone: write it as Europe/Berlin or UTC") from None
    if index.tz is not None:
        return index.tz_convert(zone)
    try:
        return index.tz_localize(zone, ambiguous="infer", nonexistent="raise")
    except ValueError:
        pass
    skipped = index.tz_localize(zone, ambiguous=np.ones(len(index), bool), nonexistent="NaT")
    if skipped.isna().any():
        row = int(np.flatnonzero(skipped.isna())[0])
        raise UserError(
            f"{where}: {index[row]} (data row {row + 1}) does not exist in data.timezone={timezone}: "
            "the clock was set forward there"
        )
    return _first_then_second(index, zone)


def _first_then_second(index: pd.DatetimeIndex, zone: zoneinfo.ZoneInfo) -> pd.DatetimeIndex:
    """Of a clock time that occurs twice, the first row is before the change of the clock and the second after it."""
    return index.tz_localize(zone, ambiguous=~index.duplicated())


def zone_of_offsets(utc: pd.DatetimeIndex, offsets: pd.Series, where: str) -> tuple[pd.DatetimeIndex, str | None]:
    """Times in the zone that has these offsets, and what to say of it.

    One offset throughout is a zone of its own. Where summer time changes it, it is that of the first zone that fits.
    """
    texts = offsets.fillna("Z").replace("Z", "+00:00")
    if texts.nunique() == 1:
        return (utc if texts.iloc[0] in ("+00:00", "+0000") else utc.tz_convert(f"UTC{texts.iloc[0]}")), None
    minutes = texts.str.replace(":", "")
    written = pd.to_timedelta(
        (minutes.str[:1] + "1").astype(int) * (60 * minutes.str[1:3].astype(int) + minutes.str[3:5].astype(int)), "min"
    ).to_numpy()
    for name in (*COMMON, *sorted(zoneinfo.available_timezones())):
        times = utc.tz_convert(name)
        if ((times.tz_localize(None) - utc.tz_localize(None)).to_numpy() == written).all():
            return times, f"{where}: the offsets are those of {name}; set data.timezone for another zone"
    return utc, f"{where}: no time zone has these offsets, so times are in UTC; set data.timezone for another zone"


def summer_time_of(repeated: pd.DatetimeIndex, skipped: pd.DatetimeIndex) -> str | None:
    """The name of a zone in which clock times are repeated and skipped by summer time, if there is one."""
    for name in COMMON:
        is_skipped = skipped.tz_localize(name, ambiguous=np.ones(len(skipped), bool), nonexistent="NaT").isna()
        is_repeated = repeated.tz_localize(name, ambiguous="NaT", nonexistent="shift_forward").isna()
        if is_skipped.all() and is_repeated.all() and len(skipped) + len(repeated):
            return name
    return None
