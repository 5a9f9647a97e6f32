"""Converts cells without a regular grid to the pixels of an image."""

from functools import lru_cache

import numpy as np

_PIXELS = 480  # along the longer side
_NEIGHBOURS = 6


@lru_cache(maxsize=4)
def mosaic(coordinates: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Index (H, W) of the cell whose center is nearest to each pixel, bottom row first.

    A pixel is -1, as in a hole of the mesh, if the nearest cell is farther away than that cell's sixth neighbor. So
    cells can be up to six times as long as wide without gaps.
    """
    from scipy.spatial import KDTree  # 0.1 s to import

    centers = np.array(coordinates)
    low, extent = centers.min(0), np.maximum(np.ptp(centers, axis=0), 1e-12)
    columns, rows = np.maximum(np.round(_PIXELS * extent / extent.max()).astype(int), 1)
    positions = [(np.arange(count) + 0.5) / count for count in (columns, rows)]
    pixels = low + np.stack(np.meshgrid(*positions), -1) * extent
    tree = KDTree(centers)
    reach = tree.query(centers, min(_NEIGHBOURS + 1, len(centers)))[0].reshape(len(centers), -1)[:, -1]
    distance, nearest = tree.query(pixels)
    return np.where(distance <= np.maximum(reach[nearest], 1e-9), nearest, -1)
