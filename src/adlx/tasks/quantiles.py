"""Quantile forecasts: their loss, and the conversion of a model's output to quantiles that never cross.

Shapes: B batch, N windows, H horizon, S series, Q levels, K kinds of units.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from adlx.metrics.quantiles import crps
from adlx.ranges import Probability

SOFTPLUS_ONE = 0.5413248546129181  # softplus(SOFTPLUS_ONE) = 1
MIN_GAP = 1e-3  # share of the whole spread; repeated errors give gaps of zero, which no factor can widen


class Pinball(nn.Module):
    """Pinball loss, scaled to the CRPS as in `adlx.metrics.quantiles.crps`; mean over windows, steps and series.

    Koenker & Bassett 1978, "Regression Quantiles": with error e at level q, max(q e, (q - 1) e).

    Args:
        levels: increasing, in (0, 1), with 0.5, the point forecast, among them.
    """

    level_values: Tensor

    def __init__(self, levels: list[Probability]) -> None:
        super().__init__()
        increasing = all(low < high for low, high in zip([0.0, *levels], [*levels, 1.0], strict=True))
        if not increasing or 0.5 not in levels or len(levels) < 2:
            raise ValueError(
                f"loss.levels={levels}: must be at least two, increasing, between 0 and 1, and include 0.5 (the point)"
            )
        self.levels = levels
        self.register_buffer("level_values", torch.tensor(levels), persistent=False)

    def forward(self, quantiles: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, of `quantiles` (..., Q) and `target` (...)."""
        error = target[..., None] - quantiles
        return 2 * torch.maximum(self.level_values * error, (self.level_values - 1) * error).mean()


class Spread(nn.Module):
    """Quantiles around a point, as multiples of a unit that differs between windows.

    gap between neighboring quantiles = gap of the fitted errors * unit * positive factor that a model may predict.
    So quantiles cannot cross, and a model whose scores are zero, as at the start, has the spread of the fitted errors.

    Args:
        levels: Q levels, with 0.5, the point, among them.
        horizon: H, the number of steps.
        series: S, the number of series.
    """

    gaps: Tensor
    kind: Tensor

    def __init__(self, levels: list[float], horizon: int, series: int) -> None:
        super().__init__()
        self.levels, self.middle = np.array(levels), levels.index(0.5)
        self.register_buffer("gaps", torch.ones(horizon, series, len(levels) - 1))
        self.register_buffer("kind", torch.zeros(series, dtype=torch.int64))

    def fit(self, errors: np.ndarray, units: np.ndarray) -> None:
        """Fits the gaps between the quantiles of errors for each step and series, and chooses a unit for each series.

        Args:
            errors: (N, H, S)
            units: (K, N, 1, S), positive. Each series gets the kind of unit with the lowest CRPS of the errors.

        Windows with an error that is not known, NaN, are left out, unless all have one.
        """
        known = np.isfinite(errors).all(axis=(1, 2))
        if known.any():
            errors, units = errors[known], units[:, known]
        gaps, losses = zip(*(self._fit_gaps(errors, unit) for unit in units), strict=True)
        kind = np.argmin(losses, axis=0)  # (S,)
        chosen = np.stack(gaps)[kind, :, np.arange(len(kind))]  # (S, H, Q - 1)
        self.kind.copy_(torch.from_numpy(kind))
        self.gaps.copy_(torch.from_numpy(chosen).transpose(0, 1))

    def _fit_gaps(self, errors: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gaps (H, S, Q - 1), and the CRPS of each series (S,)."""
        offsets = np.quantile(errors / unit, self.levels, axis=0)  # (Q, H, S)
        offsets = offsets - offsets[self.middle]
        losses = [  # one level at a time: all levels of 20 million errors would need 4 GB
            crps((unit * offset)[..., None], errors, level).mean(axis=(0, 1))
            for offset, level in zip(offsets, self.levels[:, None], strict=True)
        ]
        gaps = np.diff(np.moveaxis(offsets, 0, -1))
        return np.maximum(gaps, MIN_GAP * gaps.sum(axis=-1, keepdims=True)), np.mean(losses, axis=0)

    def forward(self, point: Tensor, units: Tensor, scores: Tensor | None = None) -> Tensor:
        """Quantiles (B, H, S, Q).

        Args:
            point: (B, H, S)
            units: (K, B, 1, S), as in `fit`.
            scores: (B, H, S, Q - 1): logits of the factors of the gaps; a score of 0 gives a factor of 1.
        """
        unit = units[0] if len(units) == 1 else torch.gather(units, 0, self.kind.expand_as(units[:1]))[0]
        gaps = self.gaps * unit[..., None]  # (B, H, S, Q - 1)
        if scores is not None:
            gaps = gaps * softplus(scores + SOFTPLUS_ONE)
        below = gaps[..., : self.middle].flip(-1).cumsum(dim=-1).flip(-1)
        above = gaps[..., self.middle :].cumsum(dim=-1)
        point = point[..., None]
        return torch.cat([point - below, point, point + above], dim=-1)


def levels_of(loss: nn.Module) -> list[float] | None:
    """The levels of a quantile loss; None for another loss."""
    levels = getattr(loss, "levels", None)
    return None if levels is None else list(levels)


def constant_units(scaler: Any, past: Tensor) -> Tensor:
    """Units (2, B, 1, S) of errors whose size does not change over time: absolute, or relative to the last value."""
    last = past[:, -1:]
    return torch.stack([torch.ones_like(last), scaler.size(last).clamp(min=1e-6)])
