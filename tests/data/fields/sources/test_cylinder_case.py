"""Flow past a cylinder on a mesh around it: the geometry of the mesh, and OpenFOAM's flow if it is installed."""

from collections import Counter

import numpy as np
import pytest
from user_errors import user_error_of

from adlx.data.fields.cylinder import Cylinder
from adlx.data.fields.sources import cylinder_mesh, openfoam
from adlx.data.fields.sources.cylinder import FlowSettings
from adlx.data.fields.sources.cylinder_case import Channel, graded, write_case
from adlx.data.fields.sources.cylinder_mesh import load_cylinder_mesh
from adlx.errors import RunFailed, UserError

SMALL = {"trajectories": 2, "reynolds": (100.0, 400.0), "size": (32, 48), "steps": 12, "interval": 0.5, "seed": 3}
CHANNEL = Channel(-1.5, 20.0, 8.0, (4.0, 4.0), 64)


def area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def test_blocks_fill_the_channel_except_the_square_in_the_circle():
    corners = np.array(CHANNEL.corners)
    np.testing.assert_allclose(np.hypot(*(corners[16:] - CHANNEL.centre).T), 0.5)
    areas = [area(corners[list(block)]) for block, _, _ in CHANNEL.blocks]
    assert len(areas) == 12 and min(areas) > 0
    assert sum(areas) == pytest.approx(21.5 * 8 - 0.5)
    assert min(count for _, *both in CHANNEL.blocks for count, _ in both) >= 8


@pytest.mark.parametrize(("first", "last"), [(0.125, 0.3125), (0.025, 0.125)])
def test_the_first_and_last_cells_of_a_graded_length_have_the_given_lengths(first, last):
    count, growth = graded(3.0, first, last)
    cells = growth ** (np.arange(count) / (count - 1))
    cells *= 3.0 / cells.sum()
    assert cells[[0, -1]] == pytest.approx([first, last], rel=0.03)
    assert (cells[1:] / cells[:-1]).max() < 1.2


def test_blocks_that_share_an_edge_divide_it_equally():
    edges = {}
    for (a, b, c, d), across, along in CHANNEL.blocks:
        for edge, (count, growth) in (((a, b), across), ((d, c), across), ((a, d), along), ((b, c), along)):
            edges.setdefault(frozenset(edge), set()).add((count, growth if edge[0] < edge[1] else 1 / growth))
    assert all(len(divisions) == 1 for divisions in edges.values())


def test_the_cylinder_rotates_by_sin_squared_and_arcs_lie_on_the_circle(tmp_path):
    write_case(tmp_path, CHANNEL, 125.0, -0.8, begin=0.1, start=3.0, steps=5, interval=0.3)
    assert "nu 0.008;" in (tmp_path / "constant/transportProperties").read_text()
    control = (tmp_path / "system/controlDict").read_text()
    assert "endTime 4.2;" in control and "deltaT 0.025;" in control and "writeInterval 12;" in control
    table = (tmp_path / "0/U").read_text().partition("table (")[2].partition(");")[0]
    turn = np.array(table.replace("(", " ").replace(")", " ").split(), float).reshape(-1, 2)
    np.testing.assert_allclose(turn[:, 1] / 2, -0.8 * np.sin(np.pi * (turn[:, 0] - 0.1) / 5) ** 2, atol=1e-5)
    arcs = [line.split("(")[1].rstrip(") ") for line in (tmp_path / "system/blockMeshDict").read_text().splitlines()
            if line.strip().startswith("arc")]  # fmt: skip
    points = np.array([arc.split() for arc in arcs], float)[:, :2]
    assert len(points) == 8
    np.testing.assert_allclose(np.hypot(*(points - CHANNEL.centre).T), 0.5)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"size": (30, 60)}, "multiple of 4"),
        ({"size": (12, 24)}, "needs 16 rows"),
    ],
)
def test_an_impossible_number_of_rows_is_refused_before_solving(choice, message):
    assert message in user_error_of(load_cylinder_mesh, FlowSettings(**SMALL | choice))
    assert user_error_of(Cylinder, "openfoam", **choice).startswith(f"data.size={list(choice['size'])}: ")


def test_stored_flows_are_not_solved_again(monkeypatch, tmp_path):
    calls, rng = Counter(), np.random.default_rng(0)
    centres, values = rng.uniform(size=(7, 2)), rng.normal(size=(12, 7, 3)).astype(np.float32)

    def solved(settings, trajectory, environment):
        calls["solved"] += 1
        return centres, values[: settings.steps] + trajectory

    monkeypatch.setenv("ADLX_CACHE", str(tmp_path))
    monkeypatch.setattr(cylinder_mesh, "solve_flow", solved)
    monkeypatch.setattr(cylinder_mesh, "openfoam_environment", lambda program: {})
    for _ in range(2):
        loaded = load_cylinder_mesh(FlowSettings(**SMALL))
        np.testing.assert_array_equal(loaded.frames.read(1, 0, 12), values + 1)
        np.testing.assert_allclose(loaded.coordinates, centres, atol=1e-6)
        np.testing.assert_allclose(loaded.time, 0.5 * np.arange(12))
        assert (loaded.source, loaded.simulated) == ("openfoam", True)
        assert loaded.detail == "2 trajectories, Re 100 to 400, 7 cells"
    assert calls["solved"] == 2
    load_cylinder_mesh(FlowSettings(**SMALL | {"steps": 11}))
    assert calls["solved"] == 4
    assert len(list((tmp_path / "fields").glob("cylinder-mesh-*.hdf5"))) == 2


def test_without_openfoam_one_line_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path))
    monkeypatch.setattr(openfoam, "_INSTALL_FOLDERS", ())
    monkeypatch.delenv("WM_PROJECT_DIR", raising=False)
    with pytest.raises(UserError, match="icoFoam of OpenFOAM is not installed: apt-get install openfoam") as caught:
        Cylinder("openfoam").setup("fit")
    assert "\n" not in str(caught.value)


def test_missing_steps_are_reported(monkeypatch):
    monkeypatch.setattr(cylinder_mesh, "run_program", lambda case, program, environment: None)
    monkeypatch.setattr(cylinder_mesh, "cell_centres", lambda case: ([0, 1], np.ones((4, 2))))
    monkeypatch.setattr(cylinder_mesh, "time_folders", lambda case, names: [case / "0", case / "33"])
    monkeypatch.setattr(
        cylinder_mesh, "read_field", lambda path, cells: np.zeros((cells, 3 if path.name == "U" else 1))
    )
    with pytest.raises(RunFailed, match="saved 1 of 12 steps"):
        cylinder_mesh.solve_flow(FlowSettings(2, (100.0, 400.0), (32, 48), 12, 0.5, 32, 3), 0, {})


def is_installed() -> bool:
    try:
        return bool(openfoam.openfoam_environment("icoFoam"))
    except UserError:
        return False


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    if not is_installed():
        pytest.skip("OpenFOAM's icoFoam is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADLX_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load_cylinder_mesh(FlowSettings(**SMALL))


@pytest.fixture(scope="module")
def values(flows):
    """(2, 12, cells, 3) float64."""
    return np.stack([flows.frames.read(i, 0, 12) for i in range(2)]).astype(float)


def test_openfoam_gives_a_vortex_street_around_a_round_hole(flows, values):
    position = flows.coordinates - [4, 4]
    distance = np.hypot(*position.T)
    assert (flows.coordinates > 0).all() and (flows.coordinates < [12, 8]).all()
    assert flows.mask is None and flows.grid is None and len(position) == values.shape[2]
    rings = np.argsort(distance)[:64].reshape(2, 32)  # the two rings of cells at the cylinder
    first, second = (ring[np.argsort(np.arctan2(*position[ring].T))] for ring in rings)
    assert distance[first].min() > 0.5 and np.ptp(distance[first]) < 0.02
    share = (distance[first] - 0.5) / (distance[second] - distance[first])
    wall = values[:, :, first, :2] - share[:, None] * (values[:, :, second, :2] - values[:, :, first, :2])
    assert np.hypot(*np.moveaxis(wall, -1, 0)).mean() < 0.3  # without friction it would be above 1.2
    front = first[np.argmin(np.abs(position[first, 1]) + position[first, 0])]
    assert values[:, :, front, 2].mean() == pytest.approx(0.55, abs=0.1)  # at the stagnation point
    behind = np.argmin(np.hypot(position[:, 0] - 2, position[:, 1]))
    for v in values[:, :, behind, 1]:
        assert v.max() > 0.2 and v.min() < -0.2


@pytest.mark.parametrize("x", [0.0, 10.0])
def test_the_flow_rate_through_a_section_is_that_of_the_inflow(x, flows, values):
    centres = flows.coordinates
    column = centres[np.abs(centres[:, 0] - x).argmin(), 0]
    section = np.flatnonzero(np.abs(centres[:, 0] - column) < 1e-4)
    section = section[np.argsort(centres[section, 1])]
    edges = [0.0]
    for y in centres[section, 1]:
        edges.append(2 * y - edges[-1])
    assert edges[-1] == pytest.approx(8, abs=1e-3)
    flux = values[:, :, section, 0] @ np.diff(edges)
    np.testing.assert_allclose(flux, 8, rtol=0.02)


def test_flows_of_openfoam_differ_in_reynolds_number_and_phase(flows, values):
    assert flows.parameter_names == ("reynolds",)
    settings = FlowSettings(2, (100.0, 400.0), (32, 48), 12, 0.5, 32, 3)
    np.testing.assert_allclose(flows.parameters[:, 0], [settings.draw(i)[0] for i in range(2)], rtol=1e-6)
    assert np.abs(values[0] - values[1]).max() > 0.5
