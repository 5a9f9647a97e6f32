"""Batches of windows over trajectories of physical fields.

Shapes: B batch, T time steps, F fields, P parameters.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from adlx.data.batches import BatchLoader
from adlx.data.fields.sources.trajectories import Trajectories

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Fields (B, T, cells, F) in physical units, parameters (B, P), masks of bodies (B, cells) bool, and the start of each
window (B, 2): trajectory and time step."""


class FieldLoader(BatchLoader):
    """Yields batches of windows, see `Batch`.

    Args:
        data: the trajectories; each batch reads its own windows.
        windows: (W, 3) int64: trajectory, first step, end.
        indices: indices of the windows to yield.
        batch_size, order: as in `BatchLoader`.
        load_fields: False gives fields without cells, (B, T, 0, F).
    """

    def __init__(
        self,
        data: Trajectories,
        windows: np.ndarray,
        indices: Tensor,
        batch_size: int,
        load_fields: bool = True,
        **order: Any,
    ) -> None:
        super().__init__(indices, batch_size, **order)
        self.data, self.windows, self.load_fields = data, windows, load_fields

    def gather(self, indices: Tensor) -> Batch:
        rows = self.windows[indices.numpy()]
        trajectories, starts, ends = rows.T
        if self.load_fields:
            fields = np.stack([self.data.frames.read(*row) for row in rows.tolist()])
        else:
            fields = np.zeros((len(rows), (ends - starts).max(), 0, len(self.data.fields)), np.float32)
        parameters = torch.from_numpy(self.data.parameters[trajectories])
        bodies = torch.from_numpy(self.data.bodies(trajectories))
        return torch.from_numpy(fields), parameters, bodies, torch.from_numpy(rows[:, :2].copy())
