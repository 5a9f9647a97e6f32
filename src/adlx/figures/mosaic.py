"""A picture of cells that have no grid."""

from functools import lru_cache

import numpy as np

_PIXELS = 480  # along the longer side
_NEIGHBOURS = 6


@lru_cache(maxsize=4)
def mosaic(coordinates: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(H, W) int: for each pixel of their rectangle the cell whose centre is nearest, bottom row first.

    -1 where no cell is near, as in a hole of the mesh: where the nearest one is farther than its own sixth neighbour.
    Cells up to six times as long as wide leave no gap.
    """
    from scipy.spatial import KDTree  # 0.1 s to import

    places = np.array(coordinates)
    low, extent = places.min(0), np.maximum(np.ptp(places, axis=0), 1e-12)
    columns, rows = np.maximum(np.round(_PIXELS * extent / extent.max()).astype(int), 1)
    middles = [(np.arange(count) + 0.5) / count for count in (columns, rows)]
    pixels = low + np.stack(np.meshgrid(*middles), -1) * extent
    tree = KDTree(places)
    reach = tree.query(places, min(_NEIGHBOURS + 1, len(places)))[0].reshape(len(places), -1)[:, -1]
    distance, nearest = tree.query(pixels)
    return np.where(distance <= np.maximum(reach[nearest], 1e-9), nearest, -1)
