"""Pictures of cells without a grid: the nearest cell everywhere, and nothing in a hole."""

import numpy as np
import pytest

from adlx.figures.mosaic import mosaic


def pixels(shape: tuple[int, ...], places: np.ndarray) -> np.ndarray:
    share = [(np.arange(count) + 0.5) / count for count in shape[::-1]]
    return places.min(0) + np.stack(np.meshgrid(*share), -1) * np.ptp(places, axis=0)


@pytest.mark.parametrize("aspect", [1, 5])
def test_cells_of_a_stretched_grid_leave_no_gap(aspect):
    places = np.array([(aspect * x, y) for y, x in np.ndindex(20, 10)], float)
    cells = mosaic(tuple(map(tuple, places)))
    assert cells.min() == 0
    some = pixels(cells.shape, places)[::7, ::7]
    found = np.linalg.norm(places[cells[::7, ::7]] - some, axis=-1)
    nearest = np.linalg.norm(places - some[:, :, None], axis=-1).min(-1)
    np.testing.assert_allclose(found, nearest)


def test_a_hole_in_the_mesh_is_left_out():
    rings = 0.5 * 1.1 ** np.arange(0.5, 15)
    angles = 2 * np.pi * (np.arange(64) + 0.5) / 64
    places = (rings[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], -1)).reshape(-1, 2)
    cells = mosaic(tuple(map(tuple, places)))
    distance = np.linalg.norm(pixels(cells.shape, places), axis=-1)
    assert (cells[distance < 0.38] == -1).all()
    assert (cells[(distance > 0.5) & (distance < rings[-1])] >= 0).all()
