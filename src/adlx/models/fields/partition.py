"""Divides cells into patches; the cells form a grid or have any coordinates.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", divide the domain
into m x n patches and pad each to the size of the largest. A grid is divided as an image is. The cells of a mesh are
dense around bodies, so patches of equal area would be mostly padding. Here the cells are divided by x into n columns
with equal numbers of cells, and each column by y into m patches with equal numbers of cells, so that a patch has at
most one slot of padding.

Shapes: B batch, C cells, F fields, Q = m n patches, row by row, S slots of a patch.
"""

import torch
from torch import Tensor, nn

from adlx.specs import FieldSpec


class Partition(nn.Module):
    """The map from cells to patches and back. The spec alone defines it, so no checkpoint stores it.

    Args:
        spec: a grid or coordinates, from the data.
        patches: m and n, the numbers of rows and columns of patches.

    Attributes:
        slots: S.
        is_cell: (Q, S) bool, false in slots of padding.

    Raises:
        ValueError: there are more patches than cells, or the spec has neither a grid nor coordinates.
    """

    cell: Tensor
    is_cell: Tensor
    slot: Tensor

    def __init__(self, spec: FieldSpec, patches: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = patches
        if min(patches) < 1:
            raise ValueError(f"model.patches={list(patches)}: at least 1 x 1")
        if spec.grid is not None:
            if rows > spec.grid[0] or columns > spec.grid[1]:
                size = " x ".join(map(str, spec.grid))
                raise ValueError(f"model.patches={list(patches)} exceeds a grid of {size} cells")
            patch, slot = divide_grid(spec.grid, patches)
        elif spec.coordinates is not None:
            if rows * columns > spec.cells:
                raise ValueError(f"model.patches={list(patches)}: {spec.cells} cells are too few for so many patches")
            patch, slot = divide_points(torch.tensor(spec.coordinates, dtype=torch.float64), patches)
        else:
            raise ValueError(
                "patches need the positions of the cells, and the data have neither a grid nor coordinates"
            )
        self.patches = (rows, columns)
        self.slots = int(slot.max()) + 1
        index = patch * self.slots + slot  # (C,)
        cell = torch.zeros(rows * columns * self.slots, dtype=torch.long)
        cell[index] = torch.arange(spec.cells)
        is_cell = torch.zeros(len(cell), dtype=torch.bool)
        is_cell[index] = True
        self.register_buffer("slot", index, persistent=False)
        self.register_buffer("cell", cell.view(-1, self.slots), persistent=False)
        self.register_buffer("is_cell", is_cell.view(-1, self.slots), persistent=False)

    def gather(self, fields: Tensor) -> Tensor:
        """Cells (B, C, F) to patches (B, Q, S, F), 0 in slots of padding."""
        return fields[:, self.cell].masked_fill(~self.is_cell[..., None], 0)

    def scatter(self, patches: Tensor) -> Tensor:
        """Patches (B, Q, S, F) to cells (B, C, F), the inverse of `gather`; padding is ignored."""
        return patches.flatten(1, 2)[:, self.slot]


def divide_grid(grid: tuple[int, int], patches: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Patch and slot (C,) of each cell of a grid, row by row.

    Sizes of patches differ by at most one row and column. A slot has the same offset from the corner in each patch.
    """
    spans = [torch.arange(size) * count // size for size, count in zip(grid, patches, strict=True)]
    offsets = [torch.arange(len(span)) - torch.searchsorted(span, span) for span in spans]
    width = int(offsets[1].max()) + 1
    patch = spans[0][:, None] * patches[1] + spans[1]
    return patch.flatten(), (offsets[0][:, None] * width + offsets[1]).flatten()


def divide_points(coordinates: Tensor, patches: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Patch and slot (C,) of each cell at x, y (C, 2).

    Columns have equal numbers of cells, and so have the patches of a column. In a patch, slots are in the order of y.
    """
    rows, columns = patches
    patch, slot = (torch.empty(len(coordinates), dtype=torch.long) for _ in range(2))
    by_x = coordinates[:, 0].argsort(stable=True)
    for column, cells in enumerate(by_x.tensor_split(columns)):
        by_y = cells[coordinates[cells, 1].argsort(stable=True)]
        for row, chosen in enumerate(by_y.tensor_split(rows)):
            patch[chosen] = row * columns + column
            slot[chosen] = torch.arange(len(chosen))
    return patch, slot
