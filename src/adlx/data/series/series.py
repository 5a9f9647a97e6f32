"""Time series as a data module: windows, chronological splits and scaling, whatever source feeds them."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import torch

from adlx.data.datamodule import DataModule
from adlx.data.series.history import check_lengths, check_step, fingerprint, plain_time, rows_to_score, say_changes
from adlx.data.series.scaling import Scaling, SeriesScaler
from adlx.data.series.table import Table
from adlx.data.series.windows import WindowLoader, window_starts
from adlx.data.splits import PARTS, check_at_least, check_shares
from adlx.errors import UserError
from adlx.specs import SeriesSpec

log = logging.getLogger("adlx")

UNSEEN = 1000
"""Windows before an in-sample span that are scored beside it, at most."""


class Series(DataModule):
    """Windows over a table of series.

    Args:
        context: rows a model sees.
        horizon: rows it forecasts.
        stride: rows from one window to the next.
        batch_size: windows a batch.
        split: shares of the rows for training, validation and test, in time order. A window belongs to the part in
            which its targets lie, and its context may reach back into earlier parts. None is the notebooks' protocol:
            all three are the whole series, and scores are in-sample.
        scaling: `standard`, `minmax`, `log` or `none`, fitted on the training part.
        instance_norm: subtract each window's last value and divide by its deviation, undone on the forecast.
        repeat: passes over the training windows that count as one epoch.
        start: first timestamp to use; None: all there is.
        end: last timestamp to use.
        last: use this many rows at the end.
        train_windows: train on this many windows, the last ones before validation; None: all there are.
    """

    expected_spec: SeriesSpec | None = None
    model_keys = ("context", "horizon", "scaling", "instance_norm")
    view_keys = ("stride", "batch_size", "repeat", "split", "train_windows")

    def __init__(
        self,
        context: int = 96,
        horizon: int = 5,
        stride: int = 1,
        batch_size: int = 32,
        split: tuple[float, float, float] | None = (0.7, 0.15, 0.15),
        scaling: Scaling = "standard",
        instance_norm: bool = True,
        repeat: int = 1,
        start: str | None = None,
        end: str | None = None,
        last: int | None = None,
        train_windows: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, context=context, horizon=horizon, stride=stride, batch_size=batch_size, repeat=repeat)
        check_at_least(1, last=last, train_windows=train_windows)
        if split is not None:
            check_shares(split, ", or null for in-sample")
        if split is None and train_windows is not None:
            raise UserError(f"data.train_windows={train_windows} needs data.split: in-sample, every part is the whole")
        self.context, self.horizon, self.stride = context, horizon, stride
        self.batch_size, self.repeat = batch_size, repeat
        self.split = split
        self.scaling: Scaling = scaling
        self.instance_norm = instance_norm
        self.start, self.end, self.last = start, end, last
        self.train_windows = train_windows
        self.first: str | None = None  # the first row of an earlier run on these data, which `pinned` sets
        self.test_rows: range | None = None  # of data that a run is scored on later
        self.table: Table | None = None

    def load(self) -> Table:
        """Fetches the series from their source; the one method a subclass must write."""
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        """Loads, checks and splits, once.

        Raises:
            UserError: a part holds no whole window, or a series has values that the scaling cannot take.
        """
        if self.table is not None:
            return
        self.read()
        if stage == "test" and self.trained_on is not None:
            self.test_rows = rows_to_score(self.loaded, self.trained_on, self.rows("test"), self.in_sample)
        for part in ("test",) if stage == "test" else PARTS:
            if len(self.starts(part)) == 0:
                rows, holes = len(self.rows(part)), int(self.loaded.breaks.sum())
                around = f", and {holes} hole(s) that no window may cross" if holes else ""
                raise UserError(
                    f"data.context={self.context} and data.horizon={self.horizon} leave no window in the {part} part "
                    f"({rows} of {len(self.values)} rows{around}): lower them, change data.split, or give more rows"
                )
        self.scaler.check_values(self.values)

    def check_training_part(self) -> None:
        windows = len(self.starts("train"))
        if self.train_windows is not None and windows < self.train_windows:
            raise UserError(f"data.train_windows={self.train_windows}: the training part has {windows}")
        self.scaler.check_varies(self.training())
        self.scaler.check_resolution(self.training())

    def training(self) -> np.ndarray:
        """(N, S) the rows of the training part, in original units."""
        rows = self.rows("train")
        return self.values[rows.start : rows.stop]

    def read(self) -> None:
        """Loads the series between `start` and `end` without splitting them: enough to forecast what comes next."""
        table = self.load()
        if self.expected_spec is not None:
            check_lengths(self.context, self.horizon, self.expected_spec)
            table = table.conform(self.expected_spec.series)
        if self.base_spec is not None:
            table = table.arranged_like(self.base_spec.series)
        times: Any = table.frame.index
        start, stop = 0, len(times)
        if self.start is not None:
            start = int(times.searchsorted(table.time("data.start", self.start)))
        if self.end is not None:
            stop = int(times.searchsorted(table.time("data.end", self.end), side="right"))
        first = start if self.last is None else max(start, stop - self.last)
        if self.first is not None:  # rows before it stay known: an in-sample run scores them as unseen
            first = max(start, int(times.searchsorted(table.time("data.start", self.first))))
        if stop - first < self.context:
            left = f"{max(0, stop - first)} rows of {table.detail} are left"
            raise UserError(f"{left}: data.context={self.context} needs more")
        if self.trained_on is not None:
            check_step(table, self.trained_on)
            if self.trained_on.is_own:
                say_changes(table, stop, self.trained_on)
        earlier = max(start, first - (UNSEEN + self.context + self.horizon - 1))
        self.earlier = table.rows(earlier, first)
        self.table = table.rows(first, stop)
        self.values = np.ascontiguousarray(self.loaded.frame.to_numpy(np.float64))
        self.scaler = SeriesScaler(self.scaling, self.spec.series, self.instance_norm)

    @property
    def loaded(self) -> Table:
        """The table, once it is there."""
        if self.table is None:
            raise RuntimeError("call setup() first")
        return self.table

    @property
    def frame(self) -> pd.DataFrame:
        return self.loaded.frame

    @property
    def spec(self) -> SeriesSpec:
        return SeriesSpec(tuple(map(str, self.frame.columns)), self.context, self.horizon)

    @property
    def in_sample(self) -> bool:
        return self.split is None

    def rows(self, part: str) -> range:
        """The rows of a part; parts are in time order and share no row, unless in-sample."""
        total = len(self.values)
        if self.split is None:
            return range(total)
        if part == "test" and self.test_rows is not None:
            return self.test_rows
        borders = [0, round(total * self.split[0]), round(total * (self.split[0] + self.split[1])), total]
        at = PARTS.index(part)
        start, stop = borders[at], borders[at + 1]
        if part == "train" and self.train_windows is not None:
            start = max(start, stop - (self.train_windows - 1) * self.stride - self.context - self.horizon)
        return range(start, stop)

    def starts(self, part: str) -> np.ndarray:
        """First rows of the windows of a part, in time order: their targets lie in it."""
        rows = self.rows(part)
        first = rows.start if part == "train" or self.in_sample else max(0, rows.start - self.context)
        return self._starts(self.loaded, first, rows.stop)

    def _starts(self, table: Table, first: int, stop: int) -> np.ndarray:
        filled = np.asarray(table.filled.all(axis=1))
        return window_starts(first, stop, self.context, self.horizon, self.stride, table.breaks, filled)

    def origin(self) -> str:
        return f"{self.loaded.detail} (simulated)" if self.loaded.simulated else self.loaded.detail

    def about(self) -> dict[str, Any]:
        rows = self.rows("train")
        trained_on = self.loaded.rows(rows.start, rows.stop)
        first, last = (plain_time(self.frame.index[at]) for at in (0, -1))
        return {
            "source": self.loaded.source,
            "detail": self.loaded.detail,
            "simulated": self.loaded.simulated,
            "series": list(self.spec.series),
            "rows": len(self.frame),
            "start": first,
            "end": last,
            "step": self.loaded.clock.name,
            "clock": self.loaded.clock.plain(),
            "zone": self.loaded.zone,
            "layout": "wide" if self.loaded.long_columns is None else "long",
            "trained_from": plain_time(trained_on.frame.index[0]),
            "trained_until": plain_time(trained_on.frame.index[-1]),
            "seen_until": plain_time(self.frame.index[self.rows("val").stop - 1]),
            "windows": {part: len(self.starts(part)) for part in PARTS},
            "fingerprint": fingerprint(trained_on),
        }

    def tested(self) -> str:
        step = "step" if self.stride == 1 else f"{self.stride} steps"
        return f"{len(self.starts('test'))} windows, one every {step}"

    def pinned(self, about: dict[str, Any], newest: bool = False) -> dict[str, Any]:
        return {} if newest else {"first": about["start"], "end": about["end"]}

    def train_dataloader(self) -> WindowLoader:
        return self._loader(self.starts("train"), seed=self.seed, repeat=self.repeat)

    def val_dataloader(self) -> WindowLoader:
        return self._loader(self.starts("val"))

    def test_dataloader(self) -> WindowLoader:
        return self._loader(self.starts("test"))

    def sample(self, part: str, most: int) -> WindowLoader:
        """At most so many windows of a part, evenly spaced in time order: the same ones in every process."""
        starts = self.starts(part)
        return self._loader(starts[:: -(-len(starts) // most)], shared=False)

    def unseen(self) -> WindowLoader | None:
        """The windows that end before the rows in use, up to UNSEEN of them; None where there are none."""
        starts = self._starts(self.earlier, 0, len(self.earlier.frame))
        return self._loader(starts, table=self.earlier, shared=False) if len(starts) else None

    def _loader(
        self,
        starts: np.ndarray,
        seed: int | None = None,
        repeat: int = 1,
        table: Table | None = None,
        shared: bool = True,
    ) -> WindowLoader:
        """Scaled windows on the device that trains; scaled now, since the scaler may have come from a checkpoint."""
        trainer = self.trainer
        strategy = trainer.strategy if trainer is not None else None
        device = strategy.root_device if strategy is not None else torch.device("cpu")
        shared = shared and trainer is not None
        table = table or self.loaded
        return WindowLoader(
            self.scaler(table.frame.to_numpy(np.float64)).to(device),
            torch.from_numpy(starts),
            self.context,
            self.horizon,
            self.batch_size,
            filled=torch.tensor(table.filled, device=device) if table.filled.any() else None,
            seed=seed,
            repeat=repeat,
            rank=trainer.global_rank if shared and trainer is not None else 0,
            world_size=trainer.world_size if shared and trainer is not None else 1,
        )

    def actual(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """What happened in each window of a part, in order: targets (N, H, S), NaN where they were filled in, and
        origins (N,), the last time seen: clock times of the zone of the data, or whole numbers."""
        starts = self.starts(part)
        rows = starts[:, None] + np.arange(self.context, self.context + self.horizon)
        known = np.where(self.loaded.filled, np.nan, self.values)
        return known[rows], self.loaded.clock_times(self.frame.index)[starts + self.context - 1]

    def last_values(self, part: str) -> np.ndarray:
        """(N, S) the last value that each window of a part sees, in original units."""
        return self.values[self.starts(part) + self.context - 1]

    def latest(self) -> tuple[torch.Tensor, pd.Index]:
        """The last window, scaled (1, T, S), and the times of the H steps after it.

        Raises:
            UserError: the last window has a hole.
        """
        self.scaler.check_values(self.values)
        if self.loaded.breaks[len(self.values) - self.context + 1 :].any():
            raise UserError(
                f"{self.loaded.detail} has a hole in its last {self.context} rows, from which to forecast: "
                "data.gaps=ffill or interpolate fills it"
            )
        ahead = self.loaded.clock.ahead(self.frame.index[-1], self.horizon)
        return self.scaler(self.values[-self.context :])[None], ahead
