"""Errors of fields at each time step, and physical quantities of fields: divergence and volume fraction.

Shapes: B trajectories, T time steps, F fields; bodies (B, cells) is True in cells inside a solid body.
"""

import numpy as np
import torch
from torch import Tensor

from adlx.specs import FieldSpec

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Fields (B, T, cells, F), parameters (B, P), bodies (B, cells), and index of trajectory and of first step (B, 2)."""
FRAMES = 32
"""Number of frames that an autoencoder processes at once; it limits the memory for a long trajectory."""


def over_fluid(values: Tensor, bodies: Tensor) -> Tensor:
    """Mean (B, T, F) of values (B, T, cells, F) over the cells outside of bodies."""
    fluid = (~bodies).to(values.dtype)[:, None, :, None]
    return (values * fluid).sum(dim=2) / fluid.sum(dim=2)


def variance_and_power(fields: Tensor, bodies: Tensor) -> tuple[Tensor, Tensor]:
    """Variance over space and mean square, (B, T, F) each, of fields (B, T, cells, F)."""
    fields = fields.double()
    mean, power = over_fluid(fields, bodies), over_fluid(fields.square(), bodies)
    return (power - mean.square()).clamp(min=0), power


def squared_error(prediction: Tensor, target: Tensor, bodies: Tensor) -> Tensor:
    """Mean squared error (B, T, F) of fields (B, T, cells, F)."""
    return over_fluid((prediction.double() - target.double()).square(), bodies)


def vrmse(prediction: Tensor, target: Tensor, bodies: Tensor) -> Tensor:
    """VRMSE (B, F) of fields (B, T, cells, F): sqrt(squared error / variance over space), both summed over time.

    NaN counts as an infinite error.
    """
    variance = variance_and_power(target, bodies)[0].sum(dim=1).clamp(min=1e-12)
    ratio = squared_error(prediction, target, bodies).sum(dim=1) / variance
    return ratio.nan_to_num(nan=torch.inf, posinf=torch.inf).sqrt()


def divergence(fields: Tensor, bodies: Tensor, spec: FieldSpec, coordinates: np.ndarray) -> Tensor | None:
    """Root mean square (B, T) of du/dx + dv/dy by central differences, without cells next to bodies and borders.

    None if the fields have no u and v, or no grid of at least 3 x 3 cells.

    Args:
        coordinates: x and y (cells, 2); the spacing may be uneven.
    """
    if spec.grid is None or min(spec.grid) < 3 or not {"u", "v"} <= set(spec.fields):
        return None
    batch, steps = fields.shape[:2]
    grid = fields.view(batch, steps, *spec.grid, len(spec.fields))
    u, v = (grid[..., spec.fields.index(name)] for name in ("u", "v"))
    x, y = (torch.tensor(values - values[0]).to(fields) for values in axes(coordinates, spec.grid))
    du_dx, dv_dy = torch.gradient(u, spacing=(x,), dim=3)[0], torch.gradient(v, spacing=(y,), dim=2)[0]
    total = (du_dx + dv_dy)[..., 1:-1, 1:-1]
    body = bodies.view(batch, 1, *spec.grid).float()
    is_far = torch.nn.functional.max_pool2d(body, 3, stride=1)[:, 0] == 0  # no neighbour is inside a body
    weights = is_far[:, None].to(total.dtype)
    return ((total.square() * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp(min=1)).sqrt()


def axes(coordinates: np.ndarray, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x of the columns and y of the rows of a grid; coordinates (cells, 2) are stored row by row."""
    return coordinates[: grid[1], 0], coordinates[:: grid[1], 1]


def volume_fraction(fields: Tensor, bodies: Tensor, spec: FieldSpec) -> Tensor | None:
    """Mean (B, T) of the field alpha over space; None without such a field."""
    if "alpha" not in spec.fields:
        return None
    return over_fluid(fields.double(), bodies)[..., spec.fields.index("alpha")]


def padded(rows: list[tuple[Tensor, ...]]) -> list[np.ndarray]:
    """Joins each column of tensors (1, T, ...) to an array (N, longest T, ...), padded with NaN."""
    columns = []
    for column in zip(*rows, strict=True):
        longest = max(part.shape[1] for part in column)
        joined = np.full((len(column), longest, *column[0].shape[2:]), np.nan)
        for row, part in zip(joined, column, strict=True):
            row[: part.shape[1]] = part[0].double().cpu().numpy()
        columns.append(joined)
    return columns
