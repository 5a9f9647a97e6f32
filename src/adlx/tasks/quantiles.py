"""Quantile forecasts: the loss that trains them, and how a model's output becomes quantiles that never cross.

Shapes: B batch, N windows, H horizon, S series, Q levels, K kinds of unit.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from adlx.metrics.quantiles import crps

SOFTPLUS_ONE = 0.5413248546129181  # softplus of it is 1
LEAST_GAP = 1e-3  # of the whole spread: errors that repeat leave gaps of zero, which no factor widens


class Pinball(nn.Module):
    """Mean over windows, steps and series of the CRPS from pinball losses, as `adlx.metrics.quantiles.crps` has it.

    Koenker & Bassett 1978, "Regression Quantiles": with error e at level q, max(q e, (q - 1) e).

    Args:
        levels: increasing, in (0, 1); 0.5, the point forecast, among them.
    """

    places: Tensor

    def __init__(self, levels: list[float]) -> None:
        super().__init__()
        increasing = all(low < high for low, high in zip([0.0, *levels], [*levels, 1.0], strict=True))
        if not increasing or 0.5 not in levels or len(levels) < 2:
            raise ValueError(
                f"loss.levels={levels}: at least two, increasing, between 0 and 1, and 0.5 (the point) among them"
            )
        self.levels = levels
        self.register_buffer("places", torch.tensor(levels), persistent=False)

    def forward(self, quantiles: Tensor, target: Tensor) -> Tensor:
        """Of `quantiles` (..., Q) and `target` (...), a scalar."""
        error = target[..., None] - quantiles
        return 2 * torch.maximum(self.places * error, (self.places - 1) * error).mean()


class Spread(nn.Module):
    """Quantiles around a point, as multiples of a unit that differs from window to window.

    Each gap between neighbouring quantiles is that of the errors it was fitted on, times the unit, times a positive
    factor that a model may learn: so quantiles cannot cross, and a model whose scores are still zero has the spread
    that the errors had.

    Args:
        levels: Q of them, 0.5 among them: the point.
        horizon: H.
        series: S, how many.
    """

    gaps: Tensor
    kind: Tensor

    def __init__(self, levels: list[float], horizon: int, series: int) -> None:
        super().__init__()
        self.levels, self.middle = np.array(levels), levels.index(0.5)
        self.register_buffer("gaps", torch.ones(horizon, series, len(levels) - 1))
        self.register_buffer("kind", torch.zeros(series, dtype=torch.int64))

    def fit(self, errors: np.ndarray, units: np.ndarray) -> None:
        """Takes the gaps between the quantiles of errors, by step and series, in the kind of unit that suits each.

        Args:
            errors: (N, H, S)
            units: (K, N, 1, S), positive. For each series, that is kept by which the errors have the lower CRPS.
        """
        gaps, losses = zip(*(self._fitted(errors, unit) for unit in units), strict=True)
        kind = np.argmin(losses, axis=0)  # (S,)
        chosen = np.stack(gaps)[kind, :, np.arange(len(kind))]  # (S, H, Q - 1)
        self.kind.copy_(torch.from_numpy(kind))
        self.gaps.copy_(torch.from_numpy(chosen).transpose(0, 1))

    def _fitted(self, errors: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gaps (H, S, Q - 1), and the CRPS of each series (S,)."""
        offsets = np.quantile(errors / unit, self.levels, axis=0)  # (Q, H, S)
        offsets = offsets - offsets[self.middle]
        losses = [  # a level at a time: all at once, 20 million errors would take 4 GB
            crps((unit * offset)[..., None], errors, level).mean(axis=(0, 1))
            for offset, level in zip(offsets, self.levels[:, None], strict=True)
        ]
        gaps = np.diff(np.moveaxis(offsets, 0, -1))
        return np.maximum(gaps, LEAST_GAP * gaps.sum(axis=-1, keepdims=True)), np.mean(losses, axis=0)

    def forward(self, point: Tensor, units: Tensor, scores: Tensor | None = None) -> Tensor:
        """Quantiles (B, H, S, Q).

        Args:
            point: (B, H, S)
            units: (K, B, 1, S), as in `fit`.
            scores: (B, H, S, Q - 1): the gaps grow by softplus, scaled so that 0 leaves them as they are.
        """
        unit = units[0] if len(units) == 1 else torch.gather(units, 0, self.kind.expand_as(units[:1]))[0]
        gaps = self.gaps * unit[..., None]  # (B, H, S, Q - 1)
        if scores is not None:
            gaps = gaps * softplus(scores + SOFTPLUS_ONE)
        below = gaps[..., : self.middle].flip(-1).cumsum(dim=-1).flip(-1)
        above = gaps[..., self.middle :].cumsum(dim=-1)
        point = point[..., None]
        return torch.cat([point - below, point, point + above], dim=-1)
