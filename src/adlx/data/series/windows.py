"""Windows over series that live in memory: which ones there are, and batches of them, each one gather."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from adlx.data.batches import BatchLoader


class Windows(NamedTuple):
    """A batch of windows, in scaled units.

    Attributes:
        past: (B, T, S) what the model sees.
        future: (B, H, S) what it forecasts.
        scored: (B, H, S) bool, False where a value of `future` was filled in; None: nowhere.
    """

    past: Tensor
    future: Tensor
    scored: Tensor | None = None

    def known_future(self) -> Tensor:
        """(B, H, S) the future, NaN where it was filled in."""
        return self.future if self.scored is None else self.future.masked_fill(~self.scored, torch.nan)


class WindowLoader(BatchLoader):
    """Yields `Windows`.

    Args:
        values: (rows, S), on the device that trains.
        starts: first rows of the windows, in time order.
        context, horizon: lengths in rows, T and H.
        filled: (rows, S) bool, values that were filled in, on the same device; None: none.
        batch_size, seed, repeat, rank, world_size: as in `BatchLoader`.
    """

    def __init__(
        self,
        values: Tensor,
        starts: Tensor,
        context: int,
        horizon: int,
        batch_size: int,
        filled: Tensor | None = None,
        seed: int | None = None,
        repeat: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(starts, batch_size, seed, repeat, rank, world_size)
        self.values, self.context, self.horizon = values, context, horizon
        self.windows = _windows(values, context + horizon)
        self.filled = None if filled is None else _windows(filled, context + horizon)

    def gather(self, indices: Tensor) -> Windows:
        indices = indices.to(self.values.device)
        window = torch.index_select(self.windows, 0, indices)
        filled = None if self.filled is None else torch.index_select(self.filled, 0, indices)[:, self.context :]
        return Windows(window[:, : self.context], window[:, self.context :], None if filled is None else ~filled)


def _windows(values: Tensor, length: int) -> Tensor:
    """All windows (rows - length + 1, length, S) of values (rows, S), without a copy."""
    return values.unfold(0, length, 1).transpose(1, 2)


def window_starts(
    first: int, stop: int, context: int, horizon: int, stride: int, breaks: np.ndarray, filled: np.ndarray
) -> np.ndarray:
    """First rows of the windows that begin at `first` or later and end before `stop`.

    A window has no break within, and a target that was not filled in.

    Args:
        breaks: (rows,) bool, whether rows are missing before a row.
        filled: (rows,) bool, rows of which all values were filled in.
    """
    starts = np.arange(first, stop - context - horizon + 1, stride)
    if breaks.any():
        count = np.cumsum(breaks)
        starts = starts[count[starts + context + horizon - 1] == count[starts]]
    if filled.any():
        count = np.cumsum(np.append(0, filled))
        starts = starts[count[starts + context + horizon] - count[starts + context] < horizon]
    return starts
