"""Vortex streets behind a cylinder on a mesh that fits it, solved by OpenFOAM and kept as HDF5.

The channel, what starts the wakes, and the units are those of `cylinder.py`, and so are the Reynolds number and the
phase of each trajectory. All trajectories share one mesh, so the cylinder stands at the same place in each. Every cell
holds fluid; what is solved goes on ahead of and behind what is saved. The case is in `cylinder_case.py`.
"""

import tempfile
import threading
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from adlx.data.fields.sources.cylinder import AHEAD, HEIGHT, LAYER, FlowSettings
from adlx.data.fields.sources.cylinder_case import Channel, write_case
from adlx.data.fields.sources.flow_cache import flow_file, load_or_solve, side_by_side
from adlx.data.fields.sources.openfoam import cell_centres, installed, read_field, run, times
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.errors import RunFailed, UserError

_VERSION = 1  # of the case and of what is drawn; another one makes new files
_BEHIND = 4.0  # from what is saved to the outlet


def check_mesh(settings: FlowSettings) -> None:
    """Checks that a mesh around the cylinder can have these rows.

    Raises:
        UserError: it cannot.
    """
    rows = settings.size[0]
    if rows % 4 or rows < 16:
        raise UserError(
            f"data.size={list(settings.size)}: data.source=openfoam needs 16 rows, or a larger multiple of 4, "
            "since as many cells go around the cylinder"
        )


def load_cylinder_mesh(settings: FlowSettings) -> Trajectories:
    """Loads velocity and pressure (u, v, p) of vortex streets on cells without a grid, and the Reynolds number of each.

    The flows are solved once, 25 seconds each at the default size, and stored in the cache. At that size the frequency
    of vortex shedding is 3 to 4 % lower than on meshes with two to four times the cells.

    `settings.size` gives the saved area, as large as with `load_cylinder`, and the number of cells around the cylinder,
    which is that of the rows. Cells are 8 / rows diameters wide along a square of 2 diameters around the cylinder, and
    larger elsewhere. `settings.resolution` is not used.

    Raises:
        UserError: a mesh cannot have these rows, or OpenFOAM is not installed.
        RunFailed: OpenFOAM fails.
    """
    check_mesh(settings)
    settings = replace(settings, resolution=settings.size[0])
    path = flow_file("cylinder-mesh", _VERSION, settings)
    flows = load_or_solve(path, "cylinder", lambda: solve(settings))
    low, high = settings.reynolds
    detail = f"{settings.trajectories} trajectories, Re {low:g} to {high:g}, {len(flows.coordinates):,} cells"
    return replace(flows, source="openfoam", detail=detail, simulated=True)


def solve(settings: FlowSettings) -> Trajectories:
    """Solves every flow, as many at a time as there are processors."""
    environment = installed("icoFoam")
    count = settings.trajectories
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def one(trajectory: int, _: threading.Event) -> None:
        found[trajectory] = solve_one(settings, trajectory, environment)

    side_by_side(count, one, "cylinder", "flows")
    return Trajectories(
        frames=InMemory(np.stack([found[trajectory][1] for trajectory in range(count)])),
        lengths=np.full(count, settings.steps),
        fields=("u", "v", "p"),
        groups=((0, 1), (2,)),
        grid=None,
        coordinates=found[0][0],
        parameters=np.array([settings.draw(trajectory)[:1] for trajectory in range(count)], np.float32),
        parameter_names=("reynolds",),
        mask=None,
        time=np.arange(settings.steps) * settings.interval,
        source="openfoam",
        detail="",
        simulated=True,
    )


def solve_one(settings: FlowSettings, trajectory: int, environment: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(cells, 2) their centres and (steps, cells, 3) float32 u, v, p of one flow, where it is saved."""
    reynolds, _, _, turn, before = settings.draw(trajectory)
    rows, columns = settings.size
    length = HEIGHT * columns / rows
    channel = Channel(-LAYER, length + _BEHIND, HEIGHT, (AHEAD, HEIGHT / 2), rows)
    start = ceil(before / settings.interval) * settings.interval  # of the first step that is saved
    with tempfile.TemporaryDirectory(prefix="adlx-cylinder-") as folder:
        case = Path(folder)
        write_case(case, channel, reynolds, turn, start - before, start, settings.steps, settings.interval)
        for program in ("blockMesh", "icoFoam"):
            run(case, program, environment)
        _, centres = cell_centres(case)
        folders = times(case, ("U", "p"))[1:]  # after the beginning
        saved = [[read_field(path / name, len(centres)) for name in ("U", "p")] for path in folders]
    inside = (centres[:, 0] > 0) & (centres[:, 0] < length)
    values = np.stack([np.concatenate([velocity[inside, :2], p[inside]], -1) for velocity, p in saved])
    if len(values) != settings.steps or not np.isfinite(values).all():
        raise RunFailed(f"icoFoam saved {len(values)} of {settings.steps} steps, or what is no number")
    return centres[inside], values.astype(np.float32)
