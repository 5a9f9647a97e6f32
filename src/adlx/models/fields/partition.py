"""Cells, on a grid or anywhere in the plane, in patches.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", cut the domain into
m x n patches and pad each to as many places as the fullest has. A grid is cut as an image is. Where cells lie anywhere,
meshes crowd around bodies: patches of equal area would be mostly padding. Here the cells are dealt out to n columns by
x, and each column to m patches by y, in equal numbers, so that a patch has one place of padding at most.

Shapes: B batch, C cells, F fields, Q = m n patches, row by row, S places of a patch.
"""

import torch
from torch import Tensor, nn

from adlx.specs import FieldSpec


class Partition(nn.Module):
    """The way from cells to patches and back. It follows from the spec alone, so that a checkpoint need not hold it.

    Args:
        spec: a grid or coordinates, from the data.
        patches: m rows and n columns of them.

    Attributes:
        places: S.
        real: (Q, S) bool, false where a place is padding.

    Raises:
        ValueError: more patches than cells to put into them; neither a grid nor coordinates.
    """

    cell: Tensor
    real: Tensor
    place: Tensor

    def __init__(self, spec: FieldSpec, patches: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = patches
        if min(patches) < 1:
            raise ValueError(f"model.patches={list(patches)}: at least 1 x 1")
        if spec.grid is not None:
            if rows > spec.grid[0] or columns > spec.grid[1]:
                size = " x ".join(map(str, spec.grid))
                raise ValueError(f"model.patches={list(patches)} exceeds a grid of {size} cells")
            patch, place = blocks(spec.grid, patches)
        elif spec.coordinates is not None:
            if rows * columns > spec.cells:
                raise ValueError(f"model.patches={list(patches)}: {spec.cells} cells do not fill so many")
            patch, place = crowds(torch.tensor(spec.coordinates, dtype=torch.float64), patches)
        else:
            raise ValueError("patches need to know where the cells are: the data give neither a grid nor coordinates")
        self.patches = (rows, columns)
        self.places = int(place.max()) + 1
        flat = patch * self.places + place  # (C,)
        cell = torch.zeros(rows * columns * self.places, dtype=torch.long)
        cell[flat] = torch.arange(spec.cells)
        real = torch.zeros(len(cell), dtype=torch.bool)
        real[flat] = True
        self.register_buffer("place", flat, persistent=False)
        self.register_buffer("cell", cell.view(-1, self.places), persistent=False)
        self.register_buffer("real", real.view(-1, self.places), persistent=False)

    def gather(self, fields: Tensor) -> Tensor:
        """(B, C, F) to (B, Q, S, F), 0 where a place is padding."""
        return fields[:, self.cell].masked_fill(~self.real[..., None], 0)

    def scatter(self, patches: Tensor) -> Tensor:
        """(B, Q, S, F) to (B, C, F): what `gather` took apart. Padding goes nowhere."""
        return patches.flatten(1, 2)[:, self.place]


def blocks(grid: tuple[int, int], patches: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(C,) patch and place of each cell of a grid, row by row. Blocks differ by a row or column at most, and a place is
    the same offset from the corner of each."""
    spans = [torch.arange(size) * count // size for size, count in zip(grid, patches, strict=True)]
    offsets = [torch.arange(len(span)) - torch.searchsorted(span, span) for span in spans]
    wide = int(offsets[1].max()) + 1
    patch = spans[0][:, None] * patches[1] + spans[1]
    return patch.flatten(), (offsets[0][:, None] * wide + offsets[1]).flatten()


def crowds(coordinates: Tensor, patches: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(C,) patch and place of each cell at x, y (C, 2): columns of equal numbers, and in each patches of equal numbers,
    in which places go up with y."""
    rows, columns = patches
    patch, place = (torch.empty(len(coordinates), dtype=torch.long) for _ in range(2))
    by_x = coordinates[:, 0].argsort(stable=True)
    for column, cells in enumerate(by_x.tensor_split(columns)):
        by_y = cells[coordinates[cells, 1].argsort(stable=True)]
        for row, chosen in enumerate(by_y.tensor_split(rows)):
            patch[chosen] = row * columns + column
            place[chosen] = torch.arange(len(chosen))
    return patch, place
