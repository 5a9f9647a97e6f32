"""The layout of The Well: files made by hand, files read by The Well's own loader, and files written and read again."""

import logging
import multiprocessing
import pickle

import h5py
import numpy as np
import pytest
from waves import write_waves

from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import read_well, write_well
from adlx.errors import UserError

ROWS, COLUMNS, STEPS = 3, 4, 5


def trajectories(count=2, grid=(ROWS, COLUMNS), mask: int | None = None, steps=STEPS, seed=0) -> Trajectories:
    """Random u, v, p with `mask` masks: None, 1 or `count`."""
    rng = np.random.default_rng(seed)
    cells = ROWS * COLUMNS
    x, y = np.arange(COLUMNS) * 0.5 + 0.25, np.arange(ROWS) * 0.25
    return Trajectories(
        frames=InMemory(rng.standard_normal((count, steps, cells, 3), np.float32)),
        lengths=np.full(count, steps),
        fields=("u", "v", "p"),
        groups=((0, 1), (2,)),
        grid=grid,
        coordinates=np.stack(np.meshgrid(x, y), -1).reshape(-1, 2) if grid else np.float32(rng.random((cells, 2))),
        parameters=rng.random((count, 2), np.float32),
        parameter_names=("reynolds", "angle"),
        mask=rng.random((mask, cells)) < 0.3 if mask else None,
        time=np.arange(steps) * 0.25,
        source="simulated",
        detail="random",
    )


def all_frames(data: Trajectories) -> list[np.ndarray]:
    return [data.frames.read(i, 0, int(length)) for i, length in enumerate(data.lengths)]


def by_hand(path, count=2, steps=STEPS, offset=0.0, **attributes):
    """Writes a file as the format describes it; its values are 1000 n + 100 t + 10 x + y."""
    n, t, x, y = np.ix_(range(count), range(steps), range(COLUMNS), range(ROWS))
    values_at = (1000 * n + 100 * t + 10 * x + y + offset).astype(np.float32)
    whole = {"dim_varying": [True, True], "sample_varying": True, "time_varying": True}
    with h5py.File(path, "w") as file:
        file.attrs.update({
            "dataset_name": "made_by_hand", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": count,
            "simulation_parameters": ["Mach"], "Mach": 0.5,
        } | attributes)  # fmt: skip
        space = file.create_group("dimensions")
        space.attrs["spatial_dims"] = ["x", "y"]
        for name, values in (("time", np.arange(steps) * 0.1), ("x", np.arange(COLUMNS)), ("y", -np.arange(ROWS))):
            space.create_dataset(name, data=values, dtype="f4").attrs.update(sample_varying=False, time_varying=False)
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["gamma", "weight", "clock"]
        for name, value, *varying in (
            ("gamma", 1.4, False, False),
            ("weight", np.arange(count) + 7.0, True, False),
            ("clock", np.arange(steps), False, True),
        ):
            scalars[name] = value
            scalars[name].attrs.update(sample_varying=varying[0], time_varying=varying[1])
        t0, t1, t2 = (file.create_group(f"t{order}_fields") for order in range(3))
        t0.attrs["field_names"] = ["density", "shared", "profile", "ground", "mask"]
        t0["density"] = values_at
        t0["density"].attrs.update(whole)
        t0["shared"] = values_at[0]
        t0["shared"].attrs.update(whole | {"sample_varying": False})
        t0["profile"] = values_at[..., 0]
        t0["profile"].attrs.update(whole | {"dim_varying": [True, False]})
        t0["ground"] = values_at[:, 0]
        t0["ground"].attrs.update(whole | {"time_varying": False})
        t0["mask"] = np.eye(COLUMNS, ROWS, dtype="f4")
        t0["mask"].attrs.update(whole | {"time_varying": False, "sample_varying": False})
        t1.attrs["field_names"] = ["velocity"]
        t1["velocity"] = np.stack([values_at + 0.25, values_at + 0.5], -1)
        t1["velocity"].attrs.update(whole)
        t2.attrs["field_names"] = ["stress"]
        t2["stress"] = np.zeros((count, steps, COLUMNS, ROWS, 2, 2), "f4")
        t2["stress"].attrs.update(whole)


def expected(number, start, stop):
    """The density of that file, cells row by row."""
    t, y, x = np.ix_(range(start, stop), range(ROWS), range(COLUMNS))
    return (1000 * number + 100 * t + 10 * x + y).reshape(stop - start, -1)


def test_a_file_made_by_hand_is_read_row_by_row(tmp_path, caplog):
    by_hand(tmp_path / "a.hdf5")
    with caplog.at_level(logging.INFO, "adlx"):
        data = read_well(tmp_path / "a.hdf5")
    assert "left out ground, stress" in caplog.text
    assert data.fields == ("density", "shared", "profile", "velocity_x", "velocity_y")
    assert data.groups == ((0,), (1,), (2,), (3, 4))
    assert (data.grid, data.source, data.simulated, data.parts) == ((ROWS, COLUMNS), "file", False, None)
    window = data.frames.read(1, 2, 4)
    assert window.dtype == np.float32 and window.shape == (2, ROWS * COLUMNS, 5)
    np.testing.assert_array_equal(window[..., 0], expected(1, 2, 4))
    np.testing.assert_array_equal(window[..., 1], expected(0, 2, 4))
    np.testing.assert_array_equal(window[..., 2], expected(1, 2, 4) // 10 * 10)  # the same for every y
    np.testing.assert_array_equal(window[..., 3:], np.stack([expected(1, 2, 4) + 0.25, expected(1, 2, 4) + 0.5], -1))
    np.testing.assert_array_equal(data.coordinates[[0, 1, COLUMNS]], [[0, 0], [1, 0], [0, -1]])
    np.testing.assert_array_equal(data.mask, np.tile(np.eye(ROWS, COLUMNS, dtype=bool).reshape(1, -1), (2, 1)))
    assert data.parameter_names == ("gamma", "weight", "Mach")
    np.testing.assert_allclose(data.parameters, [[1.4, 7, 0.5], [1.4, 8, 0.5]])
    np.testing.assert_allclose(data.time, np.arange(STEPS) * 0.1, atol=1e-7)


@pytest.mark.parametrize("inner", ["data", "."])
def test_folders_train_valid_and_test_are_the_parts(tmp_path, inner):
    for part, offset in (("train", 0), ("valid", 10_000), ("test", 20_000)):
        (tmp_path / inner / part).mkdir(parents=True)
        by_hand(tmp_path / inner / part / "a.hdf5", count=1, offset=offset)
    by_hand(tmp_path / inner / "train" / "b.hdf5", count=2, steps=7, offset=5_000)
    data = read_well(tmp_path)
    assert data.parts is not None and data.parts.tolist() == [0, 0, 0, 1, 2]
    assert data.lengths.tolist() == [5, 7, 7, 5, 5] and len(data.time) == 7
    starts = [frames[0, 0, 0] for frames in all_frames(data)]
    assert starts == [0, 5000, 6000, 10_000, 20_000]


def test_a_folder_of_files_has_no_parts(tmp_path):
    for name in ("b.hdf5", "a.h5"):
        by_hand(tmp_path / name, count=1)
    data = read_well(tmp_path)
    assert len(data) == 2 and data.parts is None


@pytest.mark.parametrize("grid", [(ROWS, COLUMNS), None])
@pytest.mark.parametrize("mask", [None, 1, 3])
def test_written_trajectories_are_read_back(tmp_path, grid, mask):
    written = trajectories(3, grid, mask)
    write_well(tmp_path / "new" / "a.hdf5", written, "random")
    back = read_well(tmp_path / "new" / "a.hdf5")
    for name in ("fields", "groups", "grid", "parameter_names"):
        assert getattr(back, name) == getattr(written, name)
    for name in ("lengths", "parameters", "coordinates", "time"):
        np.testing.assert_array_equal(getattr(back, name), getattr(written, name))
    for i, frames in enumerate(all_frames(written)):
        np.testing.assert_array_equal(back.frames.read(i, 0, STEPS), frames)
        np.testing.assert_array_equal(back.frames.read(i, 1, 3), frames[1:3])
        assert (back.mask is None) == (written.mask is None)
        if written.mask is not None and back.mask is not None:
            np.testing.assert_array_equal(back.mask[i], written.mask[i % len(written.mask)])
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.hdf5"]


def test_a_written_file_has_the_layout_of_the_well(tmp_path):
    written = trajectories(2, mask=2)
    write_well(tmp_path / "a.hdf5", written, "random", boundaries=("OPEN", "WALL"))
    with h5py.File(tmp_path / "a.hdf5") as file:
        velocity = file["t1_fields/velocity"]
        assert velocity.shape == (2, STEPS, COLUMNS, ROWS, 2)
        values = all_frames(written)[1].reshape(STEPS, ROWS, COLUMNS, 3)
        assert velocity[1, 4, 3, 2].tolist() == values[4, 2, 3, :2].tolist()
        assert file["t0_fields/pressure"][1, 0, 1, 2] == values[0, 2, 1, 2]
        assert list(file["t0_fields"].attrs["field_names"]) == ["mask", "pressure"]
        assert file["boundary_conditions/y_wall"].attrs["bc_type"] == "WALL"
        assert file["dimensions/x"].shape == (COLUMNS,) and file["dimensions/y"].shape == (ROWS,)


def test_only_the_given_trajectories_are_written(tmp_path):
    written = trajectories(4, mask=4)
    write_well(tmp_path / "a.hdf5", written, "random", only=[3, 1])
    back = read_well(tmp_path / "a.hdf5")
    for to, number in enumerate((3, 1)):
        np.testing.assert_array_equal(back.frames.read(to, 0, STEPS), all_frames(written)[number])
        np.testing.assert_array_equal(back.mask[to], written.mask[number])
    np.testing.assert_array_equal(back.parameters, written.parameters[[3, 1]])


def test_the_loader_of_the_well_reads_written_files(tmp_path):
    data = pytest.importorskip("the_well.data")
    written = trajectories(2, mask=2)
    write_well(tmp_path / "data" / "train" / "a.hdf5", written, "random", boundaries=("PERIODIC", "WALL"))
    whole = {"n_steps_input": 2, "n_steps_output": 3}
    theirs = data.WellDataset(path=str(tmp_path), well_split_name="train", use_normalization=False, **whole)
    assert len(theirs) == 2
    for i in range(2):
        sample, frames = theirs[i], all_frames(written)[i].reshape(STEPS, ROWS, COLUMNS, 3).swapaxes(1, 2)
        given = np.concatenate([sample["input_fields"], sample["output_fields"]])
        np.testing.assert_array_equal(given, frames[..., [2, 0, 1]])  # scalars first
        np.testing.assert_array_equal(sample["constant_fields"][..., 0], written.mask[i].reshape(ROWS, COLUMNS).T)
        np.testing.assert_array_equal(sample["constant_scalars"], written.parameters[i])
        assert sample["boundary_conditions"].tolist() == [[2, 2], [0, 0]]
        np.testing.assert_allclose(sample["space_grid"][3, 2], written.coordinates[2 * COLUMNS + 3])
    assert theirs.metadata.field_names == {0: ["pressure"], 1: ["velocity_x", "velocity_y"], 2: []}


def read_elsewhere(frames, to):
    to.put(frames.read(1, 2, 4))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_windows_are_read_in_other_processes(tmp_path, method):
    written = trajectories()
    write_well(tmp_path / "a.hdf5", written, "random")
    frames = read_well(tmp_path / "a.hdf5").frames
    mine = frames.read(1, 2, 4)  # the file is open here
    context = multiprocessing.get_context(method)
    answer = context.Queue()
    process = context.Process(target=read_elsewhere, args=(frames, answer))
    process.start()
    np.testing.assert_array_equal(answer.get(timeout=60), mine)
    process.join()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames)).read(1, 2, 4), all_frames(written)[1][2:4])


def test_files_with_different_fields_are_refused(tmp_path):
    by_hand(tmp_path / "a.hdf5")
    write_well(tmp_path / "b.hdf5", trajectories(), "random")
    with pytest.raises(UserError, match=r"b\.hdf5 and a\.hdf5 do not go together: their fields"):
        read_well(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: by_hand(path, n_spatial_dims=3), "fields in 3 dimensions; give one of 2"),
        (lambda path: path.write_bytes(b"u,v,p"), "cannot be read as HDF5"),
        (lambda path: h5py.File(path, "w").close(), "not in the layout of The Well"),
        (lambda path: path.mkdir(), "no .hdf5 file there"),
        (lambda path: None, "no .hdf5 file there"),
    ],
)
def test_unreadable_files_are_refused(tmp_path, make, message):
    make(tmp_path / "a.hdf5")
    with pytest.raises(UserError, match=message):
        read_well(tmp_path / "a.hdf5")


def test_different_lengths_are_refused_and_nothing_is_written(tmp_path):
    written = trajectories()
    written.lengths[1] = 3
    with pytest.raises(UserError, match="one length"):
        write_well(tmp_path / "a.hdf5", written, "random")
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_is_described_by_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "basin").mkdir()
    write_waves(tmp_path / "basin" / "a.hdf5", count=2)
    monkeypatch.chdir(tmp_path / "basin")
    assert read_well(".").detail == "basin, 2 trajectories"
