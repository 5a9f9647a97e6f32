"""Dividing cells into patches, and the way back."""

import pytest
import torch

from adlx.models.fields.partition import Partition
from adlx.specs import FieldSpec


def on_grid(rows: int, columns: int) -> FieldSpec:
    return FieldSpec(("u", "p"), ((0,), (1,)), rows * columns, grid=(rows, columns))


def scattered(count: int, seed: int = 0) -> FieldSpec:
    """Cells that are dense around a body, like those of a mesh."""
    generator = torch.Generator().manual_seed(seed)
    angle, distance = torch.rand(2, count, generator=generator)
    distance = 0.5 + 8 * distance**6
    x, y = distance * (6.28 * angle).cos(), distance * (6.28 * angle).sin()
    points = tuple(zip(x.tolist(), y.tolist(), strict=True))
    return FieldSpec(("u", "p"), ((0,), (1,)), count, coordinates=points)


@pytest.mark.parametrize("spec", [on_grid(8, 12), on_grid(9, 11), on_grid(3, 4), scattered(97), scattered(12)])
def test_every_cell_is_in_one_patch_and_scatter_inverts_gather(spec):
    partition = Partition(spec, (3, 4))
    fields = torch.randn(2, spec.cells, 2, generator=torch.Generator().manual_seed(0))
    patches = partition.gather(fields)
    assert patches.shape == (2, 12, partition.slots, 2)
    assert torch.equal(partition.scatter(patches), fields)
    assert partition.is_cell.sum() == spec.cells
    assert partition.is_cell.any(dim=1).all()
    assert torch.equal(partition.cell[partition.is_cell].sort().values, torch.arange(spec.cells))
    assert torch.equal(patches[:, ~partition.is_cell], torch.zeros(2, int((~partition.is_cell).sum()), 2))


def test_padding_is_zero_in_patches_and_ignored_by_scatter():
    spec = on_grid(5, 5)
    partition = Partition(spec, (2, 2))
    fields = torch.full((1, 25, 2), torch.nan)  # padding has the index of the first cell, whose value is NaN
    patches = partition.gather(fields)
    assert not patches[:, ~partition.is_cell].isnan().any()
    patches[:, ~partition.is_cell] = 7.0
    patches[:, partition.is_cell] = 1.0
    assert torch.equal(partition.scatter(patches), torch.ones(1, 25, 2))


def test_a_grid_is_divided_as_an_image():
    """Equal blocks are slices of the image; in unequal blocks a slot has the same offset in each block."""
    fields = torch.arange(6 * 8).view(1, 48, 1)
    patches = Partition(on_grid(6, 8), (2, 4)).gather(fields)
    image = fields.view(6, 8)
    for row in range(2):
        for column in range(4):
            block = image[3 * row : 3 * row + 3, 2 * column : 2 * column + 2]
            assert torch.equal(patches[0, 4 * row + column, :, 0], block.flatten())

    partition = Partition(on_grid(5, 7), (2, 3))  # rows of 3 and 2, columns of 3, 2 and 2
    assert partition.slots == 9
    assert partition.is_cell.sum(dim=1).tolist() == [9, 6, 6, 6, 4, 4]
    rows, columns = partition.cell // 7, partition.cell % 7
    offset_row, offset_column = torch.arange(9) // 3, torch.arange(9) % 3
    for patch in range(6):
        is_cell = partition.is_cell[patch]
        assert torch.equal(rows[patch][is_cell] - rows[patch, 0], offset_row[is_cell])
        assert torch.equal(columns[patch][is_cell] - columns[patch, 0], offset_column[is_cell])


def test_patches_of_scattered_cells_are_equally_full_and_do_not_overlap():
    spec = scattered(1000)
    partition = Partition(spec, (4, 5))
    counts = partition.is_cell.sum(dim=1)
    assert counts.max() - counts.min() <= 1
    x, y = torch.tensor(spec.coordinates).unbind(1)
    low, high = torch.empty(2, 20, 2).unbind(0)
    for patch in range(20):
        cells = partition.cell[patch][partition.is_cell[patch]]
        for axis, values in enumerate((x, y)):
            low[patch, axis], high[patch, axis] = values[cells].min(), values[cells].max()
    low, high = low.view(4, 5, 2), high.view(4, 5, 2)
    assert (high[:, :-1, 0].amax(dim=0) <= low[:, 1:, 0].amin(dim=0)).all()  # columns are in the order of x
    assert (high[:-1, :, 1] <= low[1:, :, 1]).all()  # rows of a column are in the order of y


def test_a_checkpoint_stores_nothing_of_a_partition():
    assert Partition(on_grid(4, 4), (2, 2)).state_dict() == {}


@pytest.mark.parametrize(
    ("spec", "patches", "line"),
    [
        (on_grid(4, 8), (5, 2), "model.patches=\\[5, 2\\] exceeds a grid of 4 x 8 cells"),
        (on_grid(4, 8), (0, 2), "at least 1 x 1"),
        (scattered(11), (3, 4), "11 cells are too few for so many patches"),
        (FieldSpec(("u",), ((0,),), 9), (1, 1), "neither a grid nor coordinates"),
    ],
)
def test_contradictory_arguments_are_refused(spec, patches, line):
    with pytest.raises(ValueError, match=line):
        Partition(spec, patches)
