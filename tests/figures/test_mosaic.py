"""Images of cells without a grid: each pixel shows the nearest cell, and holes are empty."""

import numpy as np
import pytest

from adlx.figures.mosaic import mosaic


def pixels(shape: tuple[int, ...], centers: np.ndarray) -> np.ndarray:
    shares = [(np.arange(count) + 0.5) / count for count in shape[::-1]]
    return centers.min(0) + np.stack(np.meshgrid(*shares), -1) * np.ptp(centers, axis=0)


@pytest.mark.parametrize("aspect", [1, 5])
def test_cells_of_a_stretched_grid_leave_no_gap(aspect):
    centers = np.array([(aspect * x, y) for y, x in np.ndindex(20, 10)], float)
    cells = mosaic(tuple(map(tuple, centers)))
    assert cells.min() == 0
    positions = pixels(cells.shape, centers)[::7, ::7]
    distance = np.linalg.norm(centers[cells[::7, ::7]] - positions, axis=-1)
    nearest = np.linalg.norm(centers - positions[:, :, None], axis=-1).min(-1)
    np.testing.assert_allclose(distance, nearest)


def test_a_hole_in_the_mesh_is_empty():
    rings = 0.5 * 1.1 ** np.arange(0.5, 15)
    angles = 2 * np.pi * (np.arange(64) + 0.5) / 64
    centers = (rings[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], -1)).reshape(-1, 2)
    cells = mosaic(tuple(map(tuple, centers)))
    distance = np.linalg.norm(pixels(cells.shape, centers), axis=-1)
    assert (cells[distance < 0.38] == -1).all()
    assert (cells[(distance > 0.5) & (distance < rings[-1])] >= 0).all()
