"""Files of The Well's layout with faults: each fault gives one line that names the file and the data set."""

import logging

import h5py
import numpy as np
import pytest
from user_errors import user_error_of
from waves import write_waves

from adlx.data.fields.sources.well import read_well
from adlx.data.fields.well import Well

COUNT, STEPS = 8, 6


@pytest.fixture
def path(tmp_path) -> str:
    return write_waves(tmp_path / "waves.hdf5", count=COUNT, steps=STEPS)


def edit(path: str, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def resize(file: h5py.File, name: str, index) -> None:
    """Replaces a data set by a part of it."""
    values, attributes = file[name][index], dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def load(path: str) -> None:
    data = Well(path, window=3)
    data.setup("fit")
    data.check_training_part()
    data.about()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_value_that_is_not_finite_is_named_before_training(path, part, value):
    data = Well(path, window=3)
    data.setup("fit")
    number = int(data.indices[part][0])
    edit(path, lambda file: file["t0_fields/pressure"].__setitem__((number, 4, 2, 1), value))  # x = 2, y = 1
    word = "NaN" if np.isnan(value) else "infinite"
    where = f"{path}: p is {word} in trajectory {number}, time step 4 (both counted from 0), cell 18: "
    assert user_error_of(load, path).startswith(where)


def test_nan_inside_bodies_is_read_as_0(path):
    values = read_well(path).frames.read(1, 0, STEPS)
    edit(path, lambda file: file["t0_fields/pressure"].__setitem__((1, 4, 5, 3), np.nan))  # x = 5, y = 3, in the body
    load(path)
    assert np.array_equal(read_well(path).frames.read(1, 0, STEPS), values)


def test_a_small_deviation_around_a_large_mean_is_exact(path):
    def shift(file):
        file["t0_fields/pressure"][:] = 1e5 + file["t0_fields/pressure"][:] / 8

    edit(path, shift)
    data = Well(path, window=3)
    data.setup("fit")
    fluid = ~data.loaded.bodies(np.array([0]))[0]
    train = np.stack([data.loaded.frames.read(i, 0, STEPS) for i in data.indices["train"]])[..., fluid, :]
    mean, std = data.moments()
    np.testing.assert_allclose(mean, train.astype(float).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, train.astype(float).std(axis=(0, 1, 2)), rtol=1e-6)


def test_a_field_without_the_attributes_of_axes_has_all_axes(path):
    frames = [read_well(path).frames.read(number, 0, STEPS) for number in range(COUNT)]
    parameters = read_well(path).parameters

    def remove_attributes(file):
        for name in ("t0_fields/pressure", "t1_fields/velocity", "t0_fields/mask", "scalars/speed"):
            for axis in ("sample_varying", "time_varying"):
                del file[name].attrs[axis]

    edit(path, remove_attributes)
    data = read_well(path)
    assert all(np.array_equal(data.frames.read(number, 0, STEPS), frames[number]) for number in range(COUNT))
    assert np.array_equal(data.parameters, parameters)
    assert data.mask.sum() == COUNT * 6


def test_unused_trajectories_and_steps_are_logged(path, caplog):
    def state_fewer(file):
        file.attrs["n_trajectories"] = 6
        resize(file, "dimensions/time", slice(4))

    edit(path, state_fewer)
    with caplog.at_level(logging.WARNING, "adlx"):
        data = read_well(path)
    assert (len(data), data.lengths.tolist(), len(data.parameters)) == (6, [4] * 6, 6)
    assert caplog.messages == [
        "well: waves.hdf5: 2 of 6 time steps and 2 of 8 trajectories are not used, since the file states fewer"
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda file: file.attrs.update(n_trajectories=10),
            "n_trajectories is 10, but t1_fields/velocity holds 8 trajectories: correct n_trajectories",
        ),
        (
            lambda file: resize(file, "t0_fields/pressure", slice(5)),
            "n_trajectories is 8, but t0_fields/pressure holds 5 trajectories: correct n_trajectories",
        ),
        (
            lambda file: resize(file, "scalars/speed", slice(5)),
            "n_trajectories is 8, but scalars/speed holds 5: correct n_trajectories",
        ),
        (
            lambda file: resize(file, "t0_fields/pressure", np.s_[:, :4]),
            "dimensions/time has 6 steps, but t0_fields/pressure holds 4 time steps: correct dimensions/time",
        ),
        (
            lambda file: resize(file, "t0_fields/pressure", np.s_[:, :, :, :5]),
            "t0_fields/pressure has 16 x 5 cells, but the axes in dimensions have 16 x 8",
        ),
        (
            lambda file: resize(file, "t1_fields/velocity", np.s_[..., :1]),
            "t1_fields/velocity has 1 components; a vector in 2 dimensions has 2",
        ),
        (
            lambda file: file.attrs.update(n_trajectories=0),
            "holds 0 trajectories of 6 time steps: give a file with at least one of each",
        ),
    ],
)
def test_contradicting_sizes_give_one_line(path, change, line):
    edit(path, change)
    message = user_error_of(read_well, path)
    assert message.startswith(str(path)) and line in message


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.attrs.update(n_spatial_dims="two"),
        lambda file: file["dimensions"].attrs.update(spatial_dims=["x"]),
        lambda file: file["dimensions"].attrs.__delitem__("spatial_dims"),
        lambda file: file.__delitem__("dimensions/time"),
        lambda file: file.__delitem__("t0_fields/pressure"),
        lambda file: resize(file, "dimensions/time", 0),
        lambda file: file["t0_fields/pressure"].attrs.update(dim_varying=[True]),
        lambda file: resize(file, "t0_fields/mask", slice(3)),
    ],
)
def test_every_other_fault_of_the_layout_gives_one_line(path, change):
    edit(path, change)
    assert user_error_of(load, path).startswith(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_gives_one_line(path, share):
    with open(path, "r+b") as file:
        file.truncate(int(file.seek(0, 2) * share))
    assert user_error_of(load, path).startswith(f"{path} cannot be read as HDF5 (")


def test_a_damaged_block_gives_one_line(tmp_path):
    """Only its checksum shows that a block of a compressed data set is damaged."""
    path = write_waves(tmp_path / "waves.hdf5", count=COUNT, steps=STEPS)

    def pack(file):
        values, attributes = file["t0_fields/pressure"][()], dict(file["t0_fields/pressure"].attrs)
        del file["t0_fields/pressure"]
        file["t0_fields"].create_dataset("pressure", data=values, chunks=(1, *values.shape[1:]), fletcher32=True)
        file["t0_fields/pressure"].attrs.update(attributes)

    edit(path, pack)
    with h5py.File(path) as file:
        start = file["t0_fields/pressure"].id.get_chunk_info(3).byte_offset
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 8)
    assert user_error_of(load, path).startswith(f"{path} cannot be read as HDF5 (")
