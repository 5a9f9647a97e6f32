"""Vortex streets: their values, their reproducibility, and their storage in the cache."""

import logging
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from adlx.data.fields.sources import cylinder
from adlx.data.fields.sources.cylinder import FlowSettings, load_cylinder
from adlx.errors import UserError

SMALL = {
    "trajectories": 2,
    "reynolds": (100.0, 400.0),
    "size": (16, 24),
    "steps": 24,
    "interval": 0.5,
    "resolution": 8,
    "seed": 3,
}


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """Small flows, and the folder of the cache that stores them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADLX_CACHE", str(folder))
        flows = load_cylinder(FlowSettings(**SMALL))
    return flows, folder


@pytest.fixture
def stored(solved, monkeypatch):
    """The same flows, with a fast solver that counts its calls."""
    flows, folder = solved
    calls = Counter()

    def again(settings):
        calls["solved"] += 1
        return flows

    monkeypatch.setenv("ADLX_CACHE", str(folder))
    monkeypatch.setattr(cylinder, "solve", again)
    return flows, folder, calls


def values(flows) -> np.ndarray:
    return np.stack([flows.frames.read(i, 0, 24) for i in range(len(flows))])


def test_flows_have_the_documented_names_and_coordinates(solved):
    flows = solved[0]
    assert (flows.source, flows.simulated, flows.detail) == (
        "lattice_boltzmann", True, "2 trajectories, Re 100 to 400, 16 x 24",
    )  # fmt: skip
    assert (flows.fields, flows.groups, flows.grid) == (("u", "v", "p"), ((0, 1), (2,)), (16, 24))
    assert flows.parameter_names == ("reynolds", "cylinder_x", "cylinder_y")
    assert flows.lengths.tolist() == [24, 24]
    np.testing.assert_allclose(flows.time, 0.5 * np.arange(24), atol=1e-6)
    np.testing.assert_allclose(flows.coordinates[[0, 1, 24]], [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75]])


def test_fields_are_a_vortex_street_in_units_of_the_inflow_speed(solved):
    flows = solved[0]
    u, v, p = np.moveaxis(values(flows), -1, 0).reshape(3, 2, 24, 16, 24)
    assert np.isfinite(u + v + p).all()
    np.testing.assert_allclose(u[..., 0].mean((1, 2)), 1, atol=0.03)  # at the inflow, and the same at the outflow
    np.testing.assert_allclose(u[..., -1].mean((1, 2)), 1, atol=0.03)
    for i, (_, x, y) in enumerate(flows.parameters):
        row, column = int(y * 2), int(x * 2)
        assert p[i, :, row, column - 2].mean() > 0.15  # mean around the stagnation point
        assert u[i, :, row, column + 2].mean() < 0.4
        behind = v[i, :, row, column + 5]
        assert behind.max() > 0.3 and behind.min() < -0.3
        assert 4 <= np.count_nonzero(np.diff(np.sign(behind))) <= 8  # two per period of 4 to 6, in a time of 12


def test_the_mask_is_the_cylinder_and_fields_are_0_in_it(solved):
    flows = solved[0]
    for i, (_, x, y) in enumerate(flows.parameters):
        inside = ((flows.coordinates - [x, y]) ** 2).sum(1) < 0.25
        np.testing.assert_array_equal(flows.mask[i], inside)
        assert inside.sum() >= 2
        assert (flows.frames.read(i, 0, 24)[:, inside] == 0).all()
        assert (flows.frames.read(i, 0, 24)[:, ~inside, 0] != 0).all()


@pytest.mark.parametrize("count", [1, 3])
def test_a_trajectory_does_not_depend_on_the_number_of_trajectories(count, solved):
    flows = cylinder.solve(FlowSettings(count, (100.0, 400.0), (16, 24), 2, 0.5, 8, 3))
    for i in range(min(count, 2)):
        np.testing.assert_array_equal(flows.frames.read(i, 0, 2), values(solved[0])[i, :2])


def test_flows_differ_by_trajectory_and_by_seed(solved):
    both = values(solved[0])
    assert np.abs(both[0] - both[1]).max() > 0.5
    settings, other = (FlowSettings(8, (100.0, 400.0), (16, 24), 2, 0.5, 8, seed) for seed in (0, 1))
    assert len({draw for each in (settings, other) for i in range(8) for draw in each.draw(i)}) == 80


@pytest.mark.parametrize("count", [4, 16, 50])
def test_reynolds_numbers_are_spread_evenly(count):
    settings = FlowSettings(count, (100.0, 400.0), (64, 128), 128, 0.3, 16, 0)
    numbers = np.sort([settings.draw(i)[0] for i in range(count)])
    assert numbers[0] >= 100 and numbers[-1] <= 400
    assert np.diff(numbers).max() < 2.7 * 300 / count


def test_a_saved_step_has_many_solver_steps_and_a_saved_cell_many_lattice_cells():
    settings = FlowSettings(1, (100.0, 400.0), (64, 128), 128, 0.3, 16, 0)
    assert (settings.refinement, settings.diameter, settings.stride) == (2, 16.0, 48)
    fine = FlowSettings(1, (100.0, 400.0), (192, 384), 128, 0.3, 16, 0)
    assert (fine.refinement, fine.diameter, fine.stride) == (1, 24.0, 72)


def test_stored_flows_are_not_solved_again(stored):
    flows, _, calls = stored
    again = load_cylinder(FlowSettings(**SMALL))
    assert calls["solved"] == 0
    np.testing.assert_array_equal(values(again), values(flows))
    np.testing.assert_array_equal(again.mask, flows.mask)
    np.testing.assert_array_equal(again.parameters, flows.parameters)


@pytest.mark.parametrize("change", [{"seed": 4}, {"steps": 25}, {"resolution": 9}, {"reynolds": (100, 300)}])
def test_other_settings_are_solved_and_stored_in_another_file(stored, change):
    _, folder, calls = stored
    before = {path.name for path in (folder / "fields").glob("*.hdf5")}
    load_cylinder(FlowSettings(**SMALL | change))
    assert calls["solved"] == 1
    for path in (folder / "fields").glob("*.hdf5"):
        if path.name not in before:
            path.unlink()


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "empty"])
def test_flows_of_a_damaged_file_are_solved_again(stored, damage, caplog):
    flows, folder, calls = stored
    (path,) = (folder / "fields").glob("*.hdf5")
    whole = path.read_bytes()
    path.unlink()  # the flows of the other tests read from the file that was there
    path.write_bytes({"cut off": whole[: len(whole) // 2], "other bytes": b"x" * 1000, "empty": b""}[damage])
    with caplog.at_level(logging.INFO, "adlx"):
        again = load_cylinder(FlowSettings(**SMALL))
    assert calls["solved"] == 1
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(values(again), values(flows))
    assert path.stat().st_size == len(whole)


def test_without_a_writable_cache_flows_are_solved_and_returned(stored, monkeypatch, tmp_path, caplog):
    flows, _, calls = stored
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.INFO, "adlx"):
        again = load_cylinder(FlowSettings(**SMALL))
    assert calls["solved"] == 1
    assert "cannot store" in caplog.text
    np.testing.assert_array_equal(values(again), values(flows))


def test_two_threads_that_start_at_once_solve_once(stored, monkeypatch, tmp_path):
    flows, _, calls = stored
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path))
    started, fast = threading.Event(), cylinder.solve

    def slow(settings):
        started.set()
        threading.Event().wait(0.5)
        return fast(settings)

    monkeypatch.setattr(cylinder, "solve", slow)
    results = []
    threads = [threading.Thread(target=lambda: results.append(load_cylinder(FlowSettings(**SMALL)))) for _ in range(2)]
    threads[0].start()
    assert started.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert calls["solved"] == 1
    for each in results:
        np.testing.assert_array_equal(values(each), values(flows))


def test_solving_does_not_change_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(cylinder, "solve_flow", lambda *_: iter(np.zeros((2, 16 * 24, 3))))
    threads = torch.get_num_threads()
    flows = cylinder.solve(FlowSettings(3, (100.0, 400.0), (16, 24), 2, 0.5, 8, 3))
    assert torch.get_num_threads() == threads
    assert len(flows) == 3


def test_an_unstable_flow_is_reported(monkeypatch):
    monkeypatch.setattr(cylinder, "solve_flow", lambda *_: iter(np.full((2, 16 * 24, 3), np.nan)))
    with pytest.raises(UserError, match="resolution=8 became unstable"):
        cylinder.solve(FlowSettings(1, (100.0, 400.0), (16, 24), 2, 0.5, 8, 3))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"reynolds": (30, 400)}, "both between 60 and 500"),
        ({"reynolds": (300, 200)}, "give the lower limit first"),
        ({"size": (64, 32)}, "as many columns as rows"),
        ({"steps": 0}, "steps=0"),
        ({"interval": -1.0}, "interval=-1.0"),
        ({"trajectories": 0}, "trajectories=0"),
        ({"resolution": 2}, "resolution=2"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_out_of_range_are_refused(choice, message):
    with pytest.raises(UserError, match=message):
        load_cylinder(FlowSettings(**SMALL | choice))
