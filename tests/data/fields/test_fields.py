"""Fields as data: windows, the split by trajectory, statistics of the training part, and errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from user_errors import user_error_of
from waves import COLUMNS, ROWS, waves, write_waves

from adlx.data.fields.fields import Fields, draw_parts
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import read_well, write_well
from adlx.data.fields.well import Well
from adlx.data.splits import PARTS
from adlx.specs import FieldSpec

CELLS = ROWS * COLUMNS


class Given(Fields):
    """A data set of given trajectories."""

    def __init__(self, given: Trajectories, **windows) -> None:
        super().__init__(**windows)
        self.given = given

    def load(self) -> Trajectories:
        return self.given


def data_of(given: Trajectories | None = None, **windows) -> Given:
    data = Given(given or waves(), **{"window": 6, "stride": 3, "batch_size": 4, **windows})
    data.setup("fit")
    data.check_training_part()
    return data


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    return write_waves(tmp_path_factory.mktemp("well") / "waves.hdf5")


def well(path: str, expected: FieldSpec | None = None, **windows) -> Well:
    data = Well(path, **{"window": 6, "stride": 3, "batch_size": 4, **windows})
    data.expected_spec = expected
    data.setup("fit")
    return data


def spec_of(given: Trajectories) -> FieldSpec:
    return data_of(given).spec


# Windows


def test_a_file_in_the_layout_of_the_well_has_the_written_fields(path):
    data, written = well(path), waves()
    assert data.spec == FieldSpec(("u", "v", "p"), ((0, 1), (2,)), CELLS, (ROWS, COLUMNS), None, ("speed",))
    for i in range(8):
        assert np.array_equal(data.loaded.frames.read(i, 0, 20), written.frames.read(i, 0, 20))
    assert np.array_equal(data.loaded.parameters, written.parameters)
    assert data.tested() == "1 trajectory"
    assert data.origin() == "waves.hdf5, 8 trajectories"


def test_training_windows_lie_within_their_trajectories(path):
    data = well(path)
    windows = data.windows("train")
    assert windows[:, 1].reshape(6, -1).tolist() == [[0, 3, 6, 9, 12]] * 6
    assert (windows[:, 2] - windows[:, 1] == 6).all()
    batches = list(data.train_dataloader())
    assert [len(batch[0]) for batch in batches] == [4] * 7 + [2]
    for fields, parameters, bodies, where in batches:
        for row, parameter, body, (trajectory, start) in zip(fields, parameters, bodies, where.tolist(), strict=True):
            assert trajectory in data.indices["train"]
            assert np.array_equal(row, data.loaded.frames.read(trajectory, start, start + 6))
            assert parameter.item() == data.loaded.parameters[trajectory, 0]
            assert body.sum() == 6
            assert (row[:, body] == 0).all()


@pytest.mark.parametrize(("horizon", "steps"), [(None, 20), (7, 7), (50, 20)])
def test_whole_trajectories_are_tested_from_their_first_step(path, horizon, steps):
    data = well(path, horizon=horizon)
    for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        assert data.windows(part).tolist() == [[data.indices[part].item(), 0, steps]]
        ((fields, _, _, where),) = loader
        assert fields.shape == (1, steps, CELLS, 3)
        assert where.tolist() == [[data.indices[part].item(), 0]]
    assert next(iter(data.whole_trajectories("test")))[0].shape[1] == 20


def test_the_order_of_each_pass_depends_on_seed_and_epoch(path):
    def order(seed: int, epoch: int, step: int = 0, **windows) -> list[list[int]]:
        data = well(path, **windows)
        data.seed = seed
        loader = data.train_dataloader()
        loader.set_epoch(epoch)
        if step:
            loader.start_at(epoch, step)
        return [row for batch in loader for row in batch[3].tolist()]

    assert order(0, 0) == order(0, 0)
    assert sorted(order(0, 0)) == sorted(order(0, 1)) == sorted(order(1, 0))
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert order(0, 3, step=2) == order(0, 3)[8:]
    twice = order(0, 1, repeat=2)
    assert twice == order(0, 2) + order(0, 3)


def test_trajectories_may_have_different_lengths():
    given = replace(waves(), lengths=np.array([20, 5, 20, 7, 20, 20, 20, 9]))
    data = data_of(replace(given, parts=np.array([0, 0, 0, 0, 1, 1, 2, 2], dtype=np.int8)))
    windows = data.windows("train")
    assert {i: (windows[:, 0] == i).sum() for i in range(4)} == {0: 5, 1: 0, 2: 5, 3: 1}
    assert data.windows("test").tolist() == [[6, 0, 20], [7, 0, 9]]
    assert [len(frames) for frames in data.snapshots()] == [20, 5, 20, 7]
    assert data.about()["steps"] == 20


# Parts


def test_the_split_depends_on_split_seed_but_not_on_the_seed_of_the_run():
    parts = data_of().indices
    assert {part: len(indices) for part, indices in parts.items()} == {"train": 6, "val": 1, "test": 1}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(8))
    again, other = data_of(), data_of(split_seed=3)
    again.seed = 5
    assert all(np.array_equal(parts[part], again.indices[part]) for part in PARTS)
    assert any(not np.array_equal(parts[part], other.indices[part]) for part in PARTS)


@pytest.mark.parametrize(("count", "held"), [(3, (1, 1, 1)), (16, (12, 2, 2)), (40, (30, 5, 5))])
def test_every_part_has_a_trajectory(count, held):
    parts = draw_parts(count, (0.75, 0.125, 0.125), seed=0)
    assert tuple(np.bincount(parts, minlength=3)) == held


def test_the_parts_of_the_source_are_kept(tmp_path):
    given = data_of(waves(parts=[2, 0, 1, 0, 0, 1, 0, 2]), split_seed=7)
    assert {part: indices.tolist() for part, indices in given.indices.items()} == {
        "train": [1, 3, 4, 6],
        "val": [2, 5],
        "test": [0, 7],
    }
    for part, numbers in (("train", range(5)), ("valid", [5]), ("test", [6, 7])):
        folder = tmp_path / "data" / part
        folder.mkdir(parents=True)
        write_well(folder / "waves.hdf5", waves(), "waves", only=list(numbers))
    data = well(str(tmp_path))
    assert [data.indices[part].tolist() for part in PARTS] == [[0, 1, 2, 3, 4], [5], [6, 7]]


def test_moments_are_computed_from_the_training_part_outside_of_bodies():
    given = waves(steps=70)  # more than one chunk of time
    data = data_of(given)
    train = given.frames.values[data.indices["train"]][:, :, ~given.mask[0]].astype(float)
    mean, std = data.moments()
    np.testing.assert_allclose(mean, train.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(std, train.std(axis=(0, 1, 2)), rtol=1e-6)
    own = np.zeros((8, CELLS), bool)  # another body in each trajectory
    own[np.arange(8), np.arange(8)] = True
    data = data_of(replace(given, mask=own))
    kept = [given.frames.values[i][:, ~own[i]] for i in data.indices["train"]]
    np.testing.assert_allclose(data.moments()[0], np.mean(kept, axis=(0, 1, 2), dtype=float), rtol=1e-9)
    assert data.training_parameters().tolist() == given.parameters[data.indices["train"]].tolist()


def test_the_fingerprint_depends_on_the_training_part_alone():
    given = waves()
    indices, first = data_of(given).indices, data_of(given).about()["fingerprint"]

    def changed(trajectory: int) -> str:
        values = given.frames.values.copy()
        values[trajectory, -1, -1, -1] += 1e-3
        return data_of(replace(given, frames=InMemory(values))).about()["fingerprint"]

    assert changed(indices["train"][-1]) != first
    assert changed(indices["val"][0]) == changed(indices["test"][0]) == first
    parameters = given.parameters.copy()
    parameters[indices["train"][0]] += 0.1
    assert data_of(replace(given, parameters=parameters)).about()["fingerprint"] != first
    assert data_of(replace(given, coordinates=2 * given.coordinates)).about()["fingerprint"] != first
    assert data_of(given, batch_size=2, horizon=5, window=3).about()["fingerprint"] == first
    about = data_of(given).about()
    assert (about["fields"], about["samples"]) == (["u", "v", "p"], {"train": 6, "val": 1, "test": 1})
    assert (about["source"], about["simulated"], about["steps"]) == ("simulated", False, 20)


def test_the_fingerprint_depends_on_the_bodies_of_the_training_part():
    bodies = np.repeat(waves().mask, 8, axis=0)
    given = replace(waves(), mask=bodies)
    indices, first = data_of(given).indices, data_of(given).about()["fingerprint"]

    def grown(trajectory: int) -> str:
        mask = bodies.copy()
        mask[trajectory, 0] = True
        return data_of(replace(given, mask=mask)).about()["fingerprint"]

    assert grown(indices["train"][2]) != first
    assert grown(indices["test"][0]) == first
    assert data_of(waves()).about()["fingerprint"] == first  # one shared mask equals equal masks for all
    assert data_of(replace(given, mask=None)).about()["fingerprint"] != first


def test_written_predictions_can_be_read_again(path, tmp_path):
    data = well(path)
    values = np.random.default_rng(0).normal(size=(2, 5, CELLS, 3)).astype(np.float32)
    data.write(tmp_path / "rollout.hdf5", values, np.array([4, 1]), "rollout", start=3)
    written = read_well(tmp_path / "rollout.hdf5")
    assert np.array_equal(np.stack([written.frames.read(i, 0, 5) for i in range(2)]), values)
    assert np.array_equal(written.parameters, data.loaded.parameters[[4, 1]])
    assert (written.fields, written.groups, written.grid) == (("u", "v", "p"), ((0, 1), (2,)), (ROWS, COLUMNS))
    assert written.time.tolist() == [1.5, 2.0, 2.5, 3.0, 3.5]  # a step is 0.5; the first written step is the fourth
    assert written.mask is not None
    assert np.array_equal(written.mask, data.loaded.mask[[4, 1]])


# Errors


@pytest.mark.parametrize(
    ("given", "windows", "line"),
    [
        (waves(count=2), {}, "waves: no trajectory for the train part of 2 (data.split=[0.75, 0.125, 0.125])"),
        (waves(steps=5), {}, "waves: data.window=6 steps are too many; the longest trajectory has 5"),
        (waves(), {"window": 1}, "data.window=1: must be at least 2"),
        (waves(), {"horizon": 1}, "data.horizon=1: must be at least 2"),
        (waves(), {"stride": 0}, "data.stride=0: must be at least 1"),
        (waves(), {"batch_size": 0}, "data.batch_size=0: must be at least 1"),
        (waves(), {"repeat": 0}, "data.repeat=0: must be at least 1"),
        (waves(), {"split": (0.5, 0.5, 0.5)}, "data.split=[0.5, 0.5, 0.5]: give three positive shares that sum to 1"),
        (waves(parts=[0] * 7 + [1]), {}, "waves: no trajectory for the test part of 8"),
    ],
)
def test_impossible_windows_and_splits_give_one_line(given, windows, line):
    assert user_error_of(data_of, given, **windows).startswith(line)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (
            replace(waves(), fields=("u", "v", "T")),
            "the run was trained on u, v, p on 8 x 16 with speed; waves has u, v, T on 8 x 16 with speed",
        ),
        (
            waves(grid=(COLUMNS, ROWS)),
            "the run was trained on u, v, p on 8 x 16 with speed; waves has u, v, p on 16 x 8 with speed",
        ),
        (
            waves(grid=None),
            "the run was trained on u, v, p on 8 x 16 with speed; waves has u, v, p on 128 cells with speed",
        ),
        (
            replace(waves(), parameter_names=(), parameters=np.zeros((8, 0), np.float32)),
            "the run was trained on u, v, p on 8 x 16 with speed; waves has u, v, p on 8 x 16 with no parameter",
        ),
        (
            replace(waves(), groups=((0,), (1,), (2,))),
            "the run was trained on the fields in groups ((0, 1), (2,)); waves has ((0,), (1,), (2,))",
        ),
    ],
)
def test_data_with_other_fields_or_cells_than_the_trained_model_are_refused(other, line):
    data = Given(other, window=6)
    data.expected_spec = spec_of(waves())
    assert user_error_of(data.setup, "fit") == line
    assert user_error_of(data.setup, "fit") == line  # a second call gives the same error


def test_cells_without_a_grid_need_the_coordinates_of_the_trained_model():
    given = waves(grid=None)
    data = Given(replace(given, coordinates=given.coordinates + 1e-7), window=6)
    data.expected_spec = spec_of(given)
    data.setup("fit")
    data = Given(replace(given, coordinates=given.coordinates[::-1]), window=6)
    data.expected_spec = spec_of(given)
    assert (
        user_error_of(data.setup, "fit")
        == "the run was trained on 128 cells; waves has as many cells with other coordinates"
    )


def test_a_trained_model_is_tested_on_trajectories_shorter_than_a_window():
    data = Given(waves(steps=4), window=6)
    data.expected_spec = spec_of(waves())
    data.setup("test")
    assert next(iter(data.test_dataloader()))[0].shape[1] == 4


def test_without_bodies_all_cells_are_fluid():
    data = data_of(waves(body=False))
    assert not any(batch[2].any() for batch in data.train_dataloader())
    assert torch.equal(next(iter(data.val_dataloader()))[2], torch.zeros(1, CELLS, dtype=torch.bool))
