"""Vortex streets behind a cylinder on a mesh that fits it, solved by OpenFOAM and kept as HDF5.

The channel, what starts the wakes, and the units are those of `cylinder.py`, and so are the Reynolds number and the
phase of each trajectory. All trajectories share one mesh, so the cylinder stands at the same place in each. Every cell
holds fluid; what is solved goes on ahead of and behind what is saved. The case is in `cylinder_case.py`.
"""

import hashlib
import json
import tempfile
import threading
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from adlx.caching import cache_folder
from adlx.data.fields.sources.cylinder import AHEAD, HEIGHT, LAYER, Wanted
from adlx.data.fields.sources.cylinder_case import Channel, write_case
from adlx.data.fields.sources.flow_cache import load_or_solve, side_by_side
from adlx.data.fields.sources.openfoam import cell_centres, installed, read_field, run, times
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.errors import RunFailed, UserError

_VERSION = 1  # of the case and of what is drawn; another one makes new files
_BEHIND = 4.0  # from what is saved to the outlet


def load_cylinder_mesh(
    trajectories: int = 16,
    reynolds: tuple[float, float] = (100.0, 400.0),
    size: tuple[int, int] = (64, 128),
    steps: int = 128,
    interval: float = 0.3,
    seed: int = 0,
) -> Trajectories:
    """Velocity and pressure (u, v, p) of vortex streets on cells without a grid, and the Reynolds number of each.

    Solved once, 25 seconds each at the default size, and kept. At that size vortices are shed 3 to 4 % less often than
    on meshes of two to four times the cells.

    Args:
        trajectories: how many.
        reynolds: the lowest and the highest Reynolds number.
        size: rows and columns, of which the rows are 8 diameters, so that what is saved is as large as with
            `load_cylinder`. As many cells as rows, a multiple of 4, go around the cylinder; along a square of 2
            diameters around it they are 8 / rows wide, elsewhere larger.
        steps: that are saved of each, once its wake is developed.
        interval: time from one to the next; a period of shedding is about 4 to 6.
        seed: the same seed gives the same flows.

    Raises:
        UserError: if a number is out of range, or OpenFOAM is not installed.
        RunFailed: if OpenFOAM fails.
    """
    rows, columns = size
    low, high = reynolds
    wanted = Wanted(trajectories, (float(low), float(high)), (rows, columns), steps, float(interval), rows, seed)
    wanted.check()
    if rows % 4 or rows < 16:
        raise UserError(
            f"size={list(size)}: as many cells as rows go around the cylinder, 16 or a greater multiple of 4"
        )
    digest = hashlib.sha256(json.dumps([_VERSION, *vars(wanted).values()]).encode()).hexdigest()[:16]
    path = cache_folder() / "fields" / f"cylinder-mesh-{digest}.hdf5"
    found = load_or_solve(path, "cylinder", lambda: solve(wanted))
    detail = f"{trajectories} trajectories, Re {low:g} to {high:g}, {len(found.coordinates):,} cells"
    return replace(found, source="openfoam", detail=detail, simulated=True)


def solve(wanted: Wanted) -> Trajectories:
    """Solves every flow, as many at a time as there are processors."""
    environment = installed("icoFoam")
    count = wanted.trajectories
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def one(trajectory: int, _: threading.Event) -> None:
        found[trajectory] = solved(wanted, trajectory, environment)

    side_by_side(count, one, "cylinder", "flows")
    return Trajectories(
        frames=InMemory(np.stack([found[trajectory][1] for trajectory in range(count)])),
        lengths=np.full(count, wanted.steps),
        fields=("u", "v", "p"),
        groups=((0, 1), (2,)),
        grid=None,
        coordinates=found[0][0],
        parameters=np.array([wanted.drawn(trajectory)[:1] for trajectory in range(count)], np.float32),
        parameter_names=("reynolds",),
        mask=None,
        time=np.arange(wanted.steps) * wanted.interval,
        source="openfoam",
        detail="",
        simulated=True,
    )


def solved(wanted: Wanted, trajectory: int, environment: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(cells, 2) their centres and (steps, cells, 3) float32 u, v, p of one flow, where it is saved."""
    reynolds, _, _, turn, before = wanted.drawn(trajectory)
    rows, columns = wanted.size
    length = HEIGHT * columns / rows
    channel = Channel(-LAYER, length + _BEHIND, HEIGHT, (AHEAD, HEIGHT / 2), rows)
    start = ceil(before / wanted.interval) * wanted.interval  # of the first step that is saved
    with tempfile.TemporaryDirectory(prefix="adlx-cylinder-") as folder:
        case = Path(folder)
        write_case(case, channel, reynolds, turn, start - before, start, wanted.steps, wanted.interval)
        for program in ("blockMesh", "icoFoam"):
            run(case, program, environment)
        _, centres = cell_centres(case)
        folders = times(case, ("U", "p"))[1:]  # after the beginning
        saved = [[read_field(path / name, len(centres)) for name in ("U", "p")] for path in folders]
    inside = (centres[:, 0] > 0) & (centres[:, 0] < length)
    values = np.stack([np.concatenate([velocity[inside, :2], p[inside]], -1) for velocity, p in saved])
    if len(values) != wanted.steps or not np.isfinite(values).all():
        raise RunFailed(f"icoFoam saved {len(values)} of {wanted.steps} steps, or what is no number")
    return centres[inside], values.astype(np.float32)
