"""Errors of fields, step by step, and what physics says of them.

Shapes: B trajectories, T time steps, F fields; bodies (B, cells) is true inside of them.
"""

import numpy as np
import torch
from torch import Tensor

from adlx.specs import FieldSpec

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Fields (B, T, cells, F), parameters (B, P), bodies (B, cells), and trajectory and first step of each (B, 2)."""
FRAMES = 32
"""Frames that go through an autoencoder at once, where a trajectory may have any number."""


def over_fluid(values: Tensor, bodies: Tensor) -> Tensor:
    """(B, T, F) mean of (B, T, cells, F) over the cells that no body covers."""
    fluid = (~bodies).to(values.dtype)[:, None, :, None]
    return (values * fluid).sum(dim=2) / fluid.sum(dim=2)


def moments(truth: Tensor, bodies: Tensor) -> tuple[Tensor, Tensor]:
    """Variance over space and mean square, (B, T, F) each, of fields (B, T, cells, F)."""
    truth = truth.double()
    mean, power = over_fluid(truth, bodies), over_fluid(truth.square(), bodies)
    return (power - mean.square()).clamp(min=0), power


def squared_error(found: Tensor, truth: Tensor, bodies: Tensor) -> Tensor:
    """(B, T, F) of fields (B, T, cells, F)."""
    return over_fluid((found.double() - truth.double()).square(), bodies)


def vrmse(found: Tensor, truth: Tensor, bodies: Tensor) -> Tensor:
    """(B, F) root of the squared error over the variance in space, both summed over time, of fields (B, T, cells, F).

    What is no number counts as infinite, so that any number is better.
    """
    variance = moments(truth, bodies)[0].sum(dim=1).clamp(min=1e-12)
    ratio = squared_error(found, truth, bodies).sum(dim=1) / variance
    return ratio.nan_to_num(nan=torch.inf, posinf=torch.inf).sqrt()


def divergence(fields: Tensor, bodies: Tensor, spec: FieldSpec, coordinates: np.ndarray) -> Tensor | None:
    """(B, T) root mean square of du/dx + dv/dy, by central differences, away from bodies and borders; None where there
    is no grid of 3 x 3 cells, or no u and v.

    Args:
        coordinates: (cells, 2) x and y, which may be spaced unevenly; their unit is that of the derivatives.
    """
    if spec.grid is None or min(spec.grid) < 3 or not {"u", "v"} <= set(spec.fields):
        return None
    batch, steps = fields.shape[:2]
    grid = fields.view(batch, steps, *spec.grid, len(spec.fields))
    u, v = (grid[..., spec.fields.index(name)] for name in ("u", "v"))
    x, y = (torch.tensor(places - places[0]).to(fields) for places in axes(coordinates, spec.grid))
    along, across = torch.gradient(u, spacing=(x,), dim=3)[0], torch.gradient(v, spacing=(y,), dim=2)[0]
    found = (along + across)[..., 1:-1, 1:-1]
    body = bodies.view(batch, 1, *spec.grid).float()
    far = torch.nn.functional.max_pool2d(body, 3, stride=1)[:, 0] == 0  # a body is no neighbour either
    weights = far[:, None].to(found.dtype)
    return ((found.square() * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp(min=1)).sqrt()


def axes(coordinates: np.ndarray, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x of the columns and y of the rows of a grid whose cells (cells, 2) go row by row."""
    return coordinates[: grid[1], 0], coordinates[:: grid[1], 1]


def volume_fraction(fields: Tensor, bodies: Tensor, spec: FieldSpec) -> Tensor | None:
    """(B, T) mean of the field alpha over space; None where there is none."""
    if "alpha" not in spec.fields:
        return None
    return over_fluid(fields.double(), bodies)[..., spec.fields.index("alpha")]


def padded(rows: list[tuple[Tensor, ...]]) -> list[np.ndarray]:
    """Columns of (1, T, ...) tensors as arrays (N, T of the longest, ...), NaN beyond an end."""
    columns = []
    for column in zip(*rows, strict=True):
        longest = max(part.shape[1] for part in column)
        whole = np.full((len(column), longest, *column[0].shape[2:]), np.nan)
        for row, part in zip(whole, column, strict=True):
            row[: part.shape[1]] = part[0].double().cpu().numpy()
        columns.append(whole)
    return columns
