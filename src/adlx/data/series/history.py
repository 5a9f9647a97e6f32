"""What a trained run knows of its series, held against the series that it is given later."""

import hashlib
import logging
from typing import Any

import numpy as np
import pandas as pd

from adlx.data.datamodule import TrainedOn
from adlx.data.series.clock import Clock, clock_from
from adlx.data.series.table import Table
from adlx.errors import UserError
from adlx.specs import SeriesSpec

log = logging.getLogger("adlx")


def fingerprint(table: Table) -> str:
    """SHA-256 of the names, the times and the values of a table."""
    frame = table.frame
    digest = hashlib.sha256(repr((list(frame.columns), frame.index[0], frame.index[-1])).encode())
    digest.update(np.ascontiguousarray(frame.to_numpy(np.float64)).tobytes())
    return digest.hexdigest()


def plain_time(time: Any) -> str | int:
    """A time for `run.json`: ISO 8601, or the whole number."""
    return time.isoformat() if isinstance(time, pd.Timestamp) else int(time)


def fact(run: TrainedOn, key: str, kind: Any) -> Any:
    """A fact of a run about its data.

    Raises:
        UserError: it is absent or of the wrong type, in a `run.json` that was edited by hand.
    """
    value = run.about.get(key)
    if not isinstance(value, kind):
        raise UserError(f"{run.file}: data has {value!r} for {key}, which cannot be used")
    return value


def known_clock(run: TrainedOn) -> Clock:
    """The clock of a run's data."""
    plain = fact(run, "clock", dict)
    try:
        return clock_from(plain)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{run.file}: data has {plain!r} for clock, which cannot be used") from None


def check_step(table: Table, run: TrainedOn) -> None:
    """Checks that a table has the step that the run was trained on.

    Raises:
        UserError: naming both steps.
    """
    step = fact(run, "step", str)
    if table.clock.name != step:
        raise UserError(f"{table.detail} has a step of {table.clock.name}; the run was trained on a step of {step}")


def check_lengths(context: int, horizon: int, trained: SeriesSpec) -> None:
    """Checks that windows are as long as those that a model was trained on.

    Raises:
        UserError: naming both lengths.
    """
    if horizon != trained.horizon:
        raise UserError(f"data.horizon={horizon}: the run was trained for {trained.horizon} steps ahead")
    if context != trained.context:
        raise UserError(f"data.context={context}: the run was trained on {trained.context} rows")


def rows_between(table: Table, run: TrainedOn, first: str, last: str) -> range:
    """The rows of a table from one time to another of a run, such as `trained_from` and `trained_until`."""
    times: Any = table.frame.index
    kind = str if isinstance(times, pd.DatetimeIndex) else int
    start: Any
    end: Any
    try:
        start, end = (table.time(key, fact(run, key, kind)) for key in (first, last))
    except UserError as error:
        raise UserError(f"{run.file}: {str(error).removeprefix(f'{run.file}: ')}") from None
    return range(int(times.searchsorted(start)), int(times.searchsorted(end, side="right")))


def say_changes(table: Table, stop: int, run: TrainedOn) -> None:
    """Says where the source of a run was revised, or has got new rows.

    Args:
        table: all that the source has now.
        stop: the end of the rows in use.
        run: whose data they are.
    """
    rows = rows_between(table, run, "trained_from", "trained_until")
    if len(rows) == 0:
        log.warning(f"{table.detail}: the rows that the run was trained on are gone")
    elif fingerprint(table.rows(rows.start, rows.stop)) != fact(run, "fingerprint", str):
        log.warning(f"{table.detail}: the rows that the run was trained on have other values now than in training")
    known = rows_between(table, run, "start", "end").stop
    if known and (newer := len(table.frame) - known):
        use = "they are not used" if stop < len(table.frame) else "the forecast is for the time after them"
        log.info(f"{table.detail}: {newer:,} rows are newer than those of the run; {use}")


def rows_to_score(table: Table, trained_on: TrainedOn, planned: range, in_sample: bool) -> range:
    """The rows in which a run is tested: of other data, all after what training saw. Says what training saw of them.

    Args:
        table: the rows in use.
        trained_on: the run.
        planned: the test part by the split.
        in_sample: whether the run is in-sample, and so scored on what it was trained on.
    """
    if in_sample:
        return planned
    rows, seen = planned, rows_between(table, trained_on, "start", "seen_until")
    if not trained_on.is_own and trained_on.keeps_split and seen.stop < len(table.frame):
        rows = range(seen.stop, len(table.frame))
        if seen.stop:
            last = plain_time(table.frame.index[seen.stop - 1])
            log.info(f"{table.detail}: {len(rows):,} rows after {last}, the end of validation, are scored")
    known = min(rows.stop, seen.stop) - max(rows.start, seen.start)
    if known > 0:
        log.warning(
            f"{table.detail}: {known:,} of the {len(rows):,} rows to score lie in the time of training and validation, "
            "so this score is in-sample"
        )
    return rows
