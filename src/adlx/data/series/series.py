"""Time series as a data module: windows, chronological splits and scaling, whatever source feeds them."""

import hashlib
import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch

from adlx.data.datamodule import DataModule
from adlx.data.series.scaling import Scaling, SeriesScaler
from adlx.data.series.sources.table import Table
from adlx.data.series.windows import WindowLoader
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
        split: shares of the rows for training, validation and test, in time order; no window crosses a border.
            None is the notebooks' protocol: all three are the whole series, and scores are in-sample.
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
        for part in PARTS:
            rows = self.rows(part)
            if len(rows) < self.context + self.horizon:
                raise UserError(
                    f"data.context + data.horizon = {self.context + self.horizon} rows do not fit into the {part} part "
                    f"({len(rows)} of {len(self.values)} rows): lower them, change data.split, or give more rows"
                )
        self.scaler.check_values(self.values)

    def check_training_part(self) -> None:
        if self.train_windows is not None and len(self.starts("train")) < self.train_windows:
            raise UserError(
                f"data.train_windows={self.train_windows}: the training part has {len(self.starts('train'))}"
            )
        self.scaler.check_varies(self.training())

    def training(self) -> np.ndarray:
        """(N, S) the rows of the training part, in original units."""
        rows = self.rows("train")
        return self.values[rows.start : rows.stop]

    def read(self) -> None:
        """Loads the series between `start` and `end` without splitting them: enough to forecast what comes next."""
        table = self.load()
        frame = table.frame.loc[self._time("start") : self._time("end")]
        unused = 0 if self.last is None else max(0, len(frame) - self.last)
        if self.first is not None:  # rows before it stay known: an in-sample run scores them as unseen
            unused = int(frame.index.searchsorted(self._time("first")))
        earlier, frame = frame.iloc[:unused], frame.iloc[unused:]
        if len(frame) < self.context:
            raise UserError(f"{len(frame)} rows of {table.detail} are left: data.context={self.context} needs more")
        if self.expected_spec is not None:
            known = self.expected_spec.series
            frame, earlier = self._conform(frame, known, table.detail), earlier.reindex(columns=list(known))
        self.table = Table(frame, table.source, table.detail)
        self.values = np.ascontiguousarray(frame.to_numpy(np.float64))
        self.earlier = earlier.iloc[-(UNSEEN + self.context + self.horizon - 1) :]
        self.scaler = SeriesScaler(self.scaling, self.spec.series, self.instance_norm)

    @staticmethod
    def _conform(frame: pd.DataFrame, known: tuple[str, ...], where: str) -> pd.DataFrame:
        """Keeps the series that a trained model knows, in its order."""
        present = [str(name) for name in frame.columns]
        if absent := [name for name in known if name not in present]:
            raise UserError(
                f"the run was trained on the series {', '.join(known)}; {where} lacks {', '.join(absent)} "
                f"(it has {', '.join(present)})"
            )
        if extra := [name for name in present if name not in known]:
            log.info(f"ignoring series that the run was not trained on: {', '.join(extra)}")
        return frame.loc[:, list(known)]

    def _time(self, key: str) -> pd.Timestamp | None:
        text = getattr(self, key)
        if text is None:
            return None
        try:
            time = pd.Timestamp(text)
        except ValueError:
            raise UserError(f"data.{key}={text} is not a time: write it as 2024-01-31 or 2024-01-31T12:00") from None
        if not isinstance(time, pd.Timestamp):  # NaT
            return None
        return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")

    @property
    def frame(self) -> pd.DataFrame:
        if self.table is None:
            raise RuntimeError("call setup() first")
        return self.table.frame

    @property
    def times(self) -> pd.DatetimeIndex:
        index = self.frame.index
        assert isinstance(index, pd.DatetimeIndex)
        return index

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
        borders = [0, round(total * self.split[0]), round(total * (self.split[0] + self.split[1])), total]
        at = PARTS.index(part)
        start, stop = borders[at], borders[at + 1]
        if part == "train" and self.train_windows is not None:
            start = max(start, stop - (self.train_windows - 1) * self.stride - self.context - self.horizon)
        return range(start, stop)

    def starts(self, part: str) -> np.ndarray:
        """First rows of the windows that lie wholly in a part."""
        rows = self.rows(part)
        return np.arange(rows.start, rows.stop - self.context - self.horizon + 1, self.stride)

    def origin(self) -> str:
        assert self.table is not None
        return f"{self.table.detail} (simulated)" if self.table.simulated else self.table.detail

    def about(self) -> dict[str, Any]:
        assert self.table is not None
        rows = self.rows("train")
        trained_on = self.frame.iloc[rows.start : rows.stop]
        digest = hashlib.sha256(repr((list(trained_on.columns), trained_on.index[0], trained_on.index[-1])).encode())
        digest.update(np.ascontiguousarray(trained_on.to_numpy(np.float64)).tobytes())
        return {
            "source": self.table.source,
            "detail": self.table.detail,
            "simulated": self.table.simulated,
            "series": list(self.spec.series),
            "rows": len(self.frame),
            "start": self.frame.index[0].isoformat(),
            "end": self.frame.index[-1].isoformat(),
            "windows": {part: len(self.starts(part)) for part in PARTS},
            "fingerprint": digest.hexdigest(),
        }

    def tested(self) -> str:
        step = "step" if self.stride == 1 else f"{self.stride} steps"
        return f"{len(self.starts('test'))} windows, one every {step}"

    def pinned(self, about: dict[str, Any]) -> dict[str, Any]:
        return {"first": about["start"], "end": about["end"]}

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
        count = len(self.earlier) - self.context - self.horizon + 1
        if count < 1:
            return None
        return self._loader(np.arange(count), values=self.earlier.to_numpy(np.float64), shared=False)

    def _loader(
        self,
        starts: np.ndarray,
        seed: int | None = None,
        repeat: int = 1,
        values: np.ndarray | None = None,
        shared: bool = True,
    ) -> WindowLoader:
        """Scaled windows on the device that trains; scaled now, since the scaler may have come from a checkpoint."""
        trainer = self.trainer
        strategy = trainer.strategy if trainer is not None else None
        device = strategy.root_device if strategy is not None else torch.device("cpu")
        shared = shared and trainer is not None
        return WindowLoader(
            self.scaler(self.values if values is None else values).to(device),
            torch.from_numpy(starts),
            self.context,
            self.horizon,
            self.batch_size,
            seed=seed,
            repeat=repeat,
            rank=trainer.global_rank if shared and trainer is not None else 0,
            world_size=trainer.world_size if shared and trainer is not None else 1,
        )

    def actual(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """What happened in each window of a part, in order: targets (N, H, S) and origins (N,), the last time seen."""
        starts = self.starts(part)
        rows = starts[:, None] + np.arange(self.context, self.context + self.horizon)
        times = self.times.tz_convert(None).to_numpy()
        return self.values[rows], times[starts + self.context - 1]

    def latest(self) -> tuple[torch.Tensor, pd.DatetimeIndex]:
        """The last window, scaled (1, T, S), and the times of the H steps after it."""
        self.scaler.check_values(self.values)
        index = self.times
        recent = index[-max(self.context, 100) :]  # long enough to tell five days a week from seven
        with warnings.catch_warnings():  # pandas 3 announces another type for the result, which date_range accepts, too
            warnings.simplefilter("ignore")
            frequency = pd.infer_freq(recent) if len(recent) > 2 else None
        step = frequency or pd.Series(recent).diff().mode().iloc[0]
        # A holiday hides the name of business days; where no row ever fell on a weekend, none will.
        if step == pd.Timedelta(days=1) and len(recent) > 7 and (recent.day_of_week < 5).all():
            step = "B"
        ahead = pd.date_range(index[-1], periods=self.horizon + 1, freq=step)[1:]
        return self.scaler(self.values[-self.context :])[None], ahead
