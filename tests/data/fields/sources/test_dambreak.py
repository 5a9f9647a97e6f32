"""Collapsing columns of water: mechanics of the bundled set, and OpenFOAM's solution if it is installed."""

import logging
import re
from collections import Counter

import numpy as np
import pytest
from user_errors import user_error_of

from adlx.data.fields.dambreak import Dambreak
from adlx.data.fields.sources import dambreak, openfoam
from adlx.data.fields.sources.dambreak import BUNDLED, BUNDLED_SETTINGS, CollapseSettings, load_bundled, load_dambreak
from adlx.data.fields.sources.dambreak_case import water_share, write_case
from adlx.data.fields.sources.openfoam import read_field
from adlx.data.fields.sources.trajectories import InMemory
from adlx.errors import RunFailed, UserError

AIR_DENSITY = 1.2e-3


@pytest.fixture(scope="module")
def bundled():
    return load_bundled(BUNDLED_SETTINGS)


@pytest.fixture(scope="module")
def values(bundled):
    """(16, 64, 4096, 4) float64."""
    return np.stack([bundled.frames.read(i, 0, 64) for i in range(16)]).astype(float)


def test_the_bundled_set_has_the_documented_names_and_coordinates(bundled):
    assert (bundled.source, bundled.simulated, bundled.detail) == ("bundled", True, "16 columns of water, 64 x 64")
    assert (bundled.fields, bundled.groups, bundled.grid) == (("u", "v", "p", "alpha"), ((0, 1), (2,), (3,)), (64, 64))
    assert bundled.parameter_names == ("width", "height")
    assert bundled.lengths.tolist() == [64] * 16
    assert bundled.mask is None
    np.testing.assert_allclose(bundled.time, 0.0625 * np.arange(1, 65))
    np.testing.assert_allclose(bundled.coordinates[[0, 1, 64]] * 128, [[1, 1], [3, 1], [1, 3]])
    assert BUNDLED.stat().st_size < 6e6


def test_parameters_are_width_and_height_of_the_columns(bundled, values):
    np.testing.assert_array_equal(bundled.parameters, np.float32([BUNDLED_SETTINGS.draw(i) for i in range(16)]))
    water = values[..., 3].mean(2)  # share of the box
    np.testing.assert_allclose(water[:, 0], bundled.parameters.prod(1), rtol=1e-3)


def test_the_amount_of_water_is_constant_and_shares_are_0_to_1(values):
    water = values[..., 3].sum(2)
    assert np.abs(water / water[:, :1] - 1).max() < 1e-3
    assert values[..., 3].min() >= 0 and values[..., 3].max() <= 1


def test_potential_energy_of_the_water_becomes_kinetic_energy(bundled, values):
    y = bundled.coordinates[:, 1]
    density = AIR_DENSITY + (1 - AIR_DENSITY) * values[..., 3]
    potential = (density * y).sum(2)
    kinetic = (density * (values[..., :2] ** 2).sum(-1)).sum(2) / 2
    assert (potential[:, -1] < 0.6 * potential[:, 0]).all()
    total = potential + kinetic
    assert (np.diff(total, axis=1) < 0.003 * total[:, :1]).all()  # friction may reduce the energy, nothing adds any
    running = np.argmax(kinetic, 1)
    assert (kinetic.max(1) > 0.9 * (potential[:, 0] - potential[np.arange(16), running])).all()


def test_the_centre_of_mass_moves_with_the_mean_velocity_of_the_water(bundled, values):
    alpha = values[..., 3]
    centre = np.einsum("ntc,cd->ntd", alpha, bundled.coordinates) / alpha.sum(2)[..., None]
    speed = np.einsum("ntc,ntcd->ntd", alpha, values[..., :2]) / alpha.sum(2)[..., None]
    moved = (centre[:, 2:] - centre[:, :-2]) / (2 * BUNDLED_SETTINGS.interval)
    np.testing.assert_allclose(moved, speed[:, 1:-1], atol=0.02)
    assert np.abs(speed).max() > 0.4


def test_pressure_in_the_corner_is_that_of_a_column_just_released(bundled, values):
    """Potential flow has p = 0 at the top and at the right, dp/dx = 0 at the left, dp/dy = -1 at the bottom."""
    for i, (width, height) in enumerate(bundled.parameters):
        odd = 2 * np.arange(200) + 1
        wave = odd * np.pi / (2 * width)
        parts = 4 / (np.pi * odd) / wave * np.tanh(wave * height) * (-1.0) ** np.arange(200)
        assert values[i, 0, 0, 2] == pytest.approx(parts.sum(), rel=0.05)
        air = 1 - values[i, ..., 3]
        np.testing.assert_allclose((air * values[i, ..., 2]).sum(1) / air.sum(1), 0, atol=1e-3)


def test_fewer_collapses_are_the_first_ones(bundled):
    few = load_bundled(CollapseSettings(trajectories=3, steps=20))
    assert (len(few), few.lengths.tolist(), len(few.time)) == (3, [20] * 3, 20)
    np.testing.assert_array_equal(few.frames.read(2, 5, 20), bundled.frames.read(2, 5, 20))
    np.testing.assert_array_equal(few.parameters, bundled.parameters[:3])


@pytest.mark.parametrize("choice", [{"trajectories": 17}, {"steps": 65}, {"size": 32}, {"seed": 1}, {"interval": 0.1}])
def test_flows_outside_the_bundled_set_are_refused(choice):
    ((name, value),) = choice.items()
    key = {"seed": "data.simulation_seed", "interval": "interval"}.get(name, f"data.{name}")
    message = user_error_of(load_bundled, CollapseSettings(**choice))
    assert re.fullmatch(rf"{key}={value}: the bundled set has [\d.]+; data.source=openfoam makes others", message)
    if name != "interval":
        assert user_error_of(Dambreak, **{key.removeprefix("data."): value}) == message


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"trajectories": 0}, "data.trajectories=0: must be at least 1"),
        ({"size": 4}, "data.size=4: must be at least 8"),
        ({"steps": 1}, "data.steps=1: must be at least 2"),
        ({"interval": 0}, "interval=0"),
        ({"seed": -1}, "data.simulation_seed=-1: must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(choice, message):
    assert user_error_of(CollapseSettings, **choice).startswith(message)


def test_the_same_trajectories_are_tested_in_every_run():
    parts = []
    for seed in (0, 1):
        data = Dambreak()
        data.seed = seed
        data.setup("fit")
        parts.append({part: indices.tolist() for part, indices in data.indices.items()})
    assert parts[0] == parts[1]
    assert [len(parts[0][part]) for part in ("train", "val", "test")] == [12, 2, 2]
    assert sorted(index for part in parts[0].values() for index in part) == list(range(16))
    fields, parameters, mask, origin = next(iter(data.train_dataloader()))
    assert fields.shape == (4, 48, 4096, 4) and parameters.shape == (4, 2) and not mask.any()
    assert set(origin[:, 0].tolist()) <= set(parts[0]["train"])


def test_columns_differ_by_trajectory_and_by_seed_and_are_spread_evenly():
    columns = np.array([CollapseSettings(50, 64, 64, 0.1, 0).draw(i) for i in range(50)])
    for each, (low, high) in zip(columns.T, ((0.2, 0.4), (0.3, 0.55)), strict=True):
        assert low <= each.min() and each.max() <= high
        assert np.diff(np.sort(each)).max() < 0.1 * (high - low)
    assert CollapseSettings(2, 64, 64, 0.1, 1).draw(0) != tuple(columns[0])
    assert CollapseSettings(9, 32, 64, 0.1, 0).draw(3) == tuple(columns[3])


def test_cells_at_the_edge_of_a_column_have_a_share_of_water(tmp_path):
    np.testing.assert_allclose(water_share(4, (0.375, 0.55)), [[1, 0.5, 0, 0]] * 2 + [[0.2, 0.1, 0, 0], [0] * 4])
    write_case(tmp_path, 4, (0.375, 0.55), 2, 0.1)
    written = read_field(tmp_path / "0" / "alpha.water", 16)
    np.testing.assert_allclose(written.reshape(4, 4), water_share(4, (0.375, 0.55)))


@pytest.fixture
def counted(bundled, monkeypatch, tmp_path):
    """Replaces OpenFOAM: counts the calls, and returns the first two bundled collapses."""
    calls = Counter()

    def solved(settings, trajectory, environment):
        calls["solved"] += 1
        return bundled.frames.read(trajectory, 0, settings.steps)

    monkeypatch.setenv("ADLX_CACHE", str(tmp_path))
    monkeypatch.setattr(dambreak, "solve_collapse", solved)
    monkeypatch.setattr(dambreak, "openfoam_environment", lambda program: {})
    return calls


def test_stored_collapses_are_not_solved_again_and_other_settings_are(counted, bundled, tmp_path):
    for _ in range(2):
        loaded = load_dambreak(CollapseSettings(trajectories=2, steps=4))
        np.testing.assert_array_equal(loaded.frames.read(1, 0, 4), bundled.frames.read(1, 0, 4))
        assert (loaded.source, loaded.detail) == ("openfoam", "2 columns of water, 64 x 64")
        np.testing.assert_allclose(loaded.time, bundled.time[:4])
        np.testing.assert_array_equal(loaded.parameters, bundled.parameters[:2])
    assert counted["solved"] == 2
    load_dambreak(CollapseSettings(trajectories=2, steps=5))
    assert counted["solved"] == 4
    assert len(list((tmp_path / "fields").glob("dambreak-*.hdf5"))) == 2


def test_collapses_of_a_damaged_file_are_solved_again(counted, tmp_path, caplog):
    load_dambreak(CollapseSettings(trajectories=1, steps=4))
    (path,) = (tmp_path / "fields").glob("*.hdf5")
    path.write_bytes(b"x" * 1000)
    with caplog.at_level(logging.INFO, "adlx"):
        load_dambreak(CollapseSettings(trajectories=1, steps=4))
    assert counted["solved"] == 2
    assert "damaged" in caplog.text


def test_without_openfoam_one_line_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path))
    monkeypatch.setattr(openfoam, "_INSTALL_FOLDERS", ())
    monkeypatch.delenv("WM_PROJECT_DIR", raising=False)
    data = Dambreak("openfoam")
    with pytest.raises(UserError, match="not installed: apt-get install openfoam") as caught:
        data.setup("fit")
    assert "\n" not in str(caught.value)


def test_missing_steps_are_reported(monkeypatch):
    monkeypatch.setattr(dambreak, "run_program", lambda case, program, environment: None)
    monkeypatch.setattr(dambreak, "time_folders", lambda case, names: [case / "0"])
    monkeypatch.setattr(dambreak, "read_field", lambda path, cells: np.zeros((cells, 3 if path.name == "U" else 1)))
    with pytest.raises(RunFailed, match="saved 1 of 64 steps"):
        dambreak.solve_collapse(BUNDLED_SETTINGS, 0, {})


def is_installed() -> bool:
    try:
        return bool(openfoam.openfoam_environment("interIsoFoam"))
    except UserError:
        return False


@pytest.mark.skipif(not is_installed(), reason="OpenFOAM's interIsoFoam is not installed")
def test_openfoam_solves_the_bundled_collapses_again(bundled, monkeypatch, tmp_path):
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path))
    loaded = load_dambreak(CollapseSettings(trajectories=1, steps=8))
    assert isinstance(bundled.frames, InMemory)
    np.testing.assert_allclose(loaded.frames.read(0, 0, 8), bundled.frames.values[0, :8], atol=1 / 200)
