"""Vortex streets behind a cylinder on a mesh around it, which OpenFOAM solves once and which are stored as HDF5.

Channel, units, start of the wakes, Reynolds numbers and phases are those of `cylinder.py`. All trajectories share one
mesh, so the cylinder has the same position in each. Every cell holds fluid. The mesh is longer than the saved area at
both ends. The files of the case are in `cylinder_case.py`.
"""

import tempfile
import threading
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from adlx.data.fields.sources.cylinder import CENTRE_X, HEIGHT, LAYER, FlowSettings
from adlx.data.fields.sources.cylinder_case import Channel, write_case
from adlx.data.fields.sources.flow_cache import flow_file, load_or_solve, solve_in_parallel
from adlx.data.fields.sources.openfoam import cell_centres, openfoam_environment, read_field, run_program, time_folders
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.errors import RunFailed, UserError

_VERSION = 1  # of the case and the random settings; raise it when flows change, so that they are solved again
_BEHIND = 4.0  # length from the saved area to the outlet


def check_mesh(settings: FlowSettings) -> None:
    """Checks that a mesh around the cylinder can have this number of rows.

    Raises:
        UserError: it cannot have it.
    """
    rows = settings.size[0]
    if rows % 4 or rows < 16:
        raise UserError(
            f"data.size={list(settings.size)}: data.source=openfoam needs 16 rows, or a larger multiple of 4, "
            "because the mesh has as many cells around the cylinder"
        )


def load_cylinder_mesh(settings: FlowSettings) -> Trajectories:
    """Loads velocity and pressure (u, v, p) of vortex streets on cells without a grid, and the Reynolds number of each.

    The flows are solved once, 25 seconds each at the default size, and stored in the cache. At that size the frequency
    of vortex shedding is 3 to 4 % lower than on meshes with two to four times the cells.

    `settings.size` gives the saved area, as in `load_cylinder`, and the number of cells around the cylinder, which
    equals the number of rows. Cells are 8 / rows diameters wide along a square of 2 diameters around the cylinder, and
    larger elsewhere. `settings.resolution` is not used.

    Raises:
        UserError: a mesh cannot have this number of rows, or OpenFOAM is not installed.
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
    """Solves all flows, as many at a time as there are processors."""
    environment = openfoam_environment("icoFoam")
    count = settings.trajectories
    flows: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def solve_number(trajectory: int, _: threading.Event) -> None:
        flows[trajectory] = solve_flow(settings, trajectory, environment)

    solve_in_parallel(count, solve_number, "cylinder", "flows")
    return Trajectories(
        frames=InMemory(np.stack([flows[trajectory][1] for trajectory in range(count)])),
        lengths=np.full(count, settings.steps),
        fields=("u", "v", "p"),
        groups=((0, 1), (2,)),
        grid=None,
        coordinates=flows[0][0],
        parameters=np.array([settings.draw(trajectory)[:1] for trajectory in range(count)], np.float32),
        parameter_names=("reynolds",),
        mask=None,
        time=np.arange(settings.steps) * settings.interval,
        source="openfoam",
        detail="",
        simulated=True,
    )


def solve_flow(settings: FlowSettings, trajectory: int, environment: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Solves one flow; returns the centres (cells, 2) of the saved cells and u, v, p (steps, cells, 3) float32."""
    reynolds, _, _, turn, before = settings.draw(trajectory)
    rows, columns = settings.size
    length = HEIGHT * columns / rows
    channel = Channel(-LAYER, length + _BEHIND, HEIGHT, (CENTRE_X, HEIGHT / 2), rows)
    start = ceil(before / settings.interval) * settings.interval  # time of the first saved step
    with tempfile.TemporaryDirectory(prefix="adlx-cylinder-") as folder:
        case = Path(folder)
        write_case(case, channel, reynolds, turn, start - before, start, settings.steps, settings.interval)
        for program in ("blockMesh", "icoFoam"):
            run_program(case, program, environment)
        _, centres = cell_centres(case)
        folders = time_folders(case, ("U", "p"))[1:]  # without time 0
        saved = [[read_field(path / name, len(centres)) for name in ("U", "p")] for path in folders]
    inside = (centres[:, 0] > 0) & (centres[:, 0] < length)
    values = np.stack([np.concatenate([velocity[inside, :2], p[inside]], -1) for velocity, p in saved])
    if len(values) != settings.steps or not np.isfinite(values).all():
        raise RunFailed(f"icoFoam saved {len(values)} of {settings.steps} steps, or values that are not finite")
    return centres[inside], values.astype(np.float32)
