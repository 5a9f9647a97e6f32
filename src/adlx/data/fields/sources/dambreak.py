"""Columns of water that collapse in a closed box of air: 16 that come with adlx, or more where OpenFOAM is installed.

A column stands at the left wall of a square box, lets go at time 0, runs along the floor, climbs the right wall and
falls back. Its width and height differ by trajectory. OpenFOAM's interIsoFoam solves both fluids on one mesh and
follows the surface as the share of water in each cell (isoAdvector: Roenby, Bredmose, Jasak 2016, "A computational
method for sharp interface advection"); the case is in `dambreak_case.py`.

Lengths are in the side L of the box, velocities in sqrt(g L), times in sqrt(L / g), pressures in rho g L with rho of
water; (0, 0) is the lower left corner. p is the pressure itself, with the weight of the fluid above in it, less its
mean over the air. alpha is the share of water, from 0 to 1.
"""

import hashlib
import json
import logging
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from adlx.caching import cache_folder
from adlx.data.fields.sources.dambreak_case import write_case
from adlx.data.fields.sources.flow_cache import load_or_solve, side_by_side
from adlx.data.fields.sources.openfoam import installed, read_field, run, times
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import read_well
from adlx.data.splits import check_at_least
from adlx.errors import RunFailed, UserError

log = logging.getLogger("adlx")

DambreakSource = Literal["bundled", "openfoam"]
BUNDLED = Path(__file__).with_name("dambreak.hdf5")

_VERSION = 1  # of the case and of what is drawn; another one makes new files
_WIDTH = (0.2, 0.4)
_HEIGHT = (0.3, 0.55)
_SPREAD = np.array([0.7548776662466927, 0.5698402909980532])  # of the plane, as the golden ratio is of the line


@dataclass(frozen=True)
class Wanted:
    """What is asked for; its values name the file. See `load_dambreak`."""

    trajectories: int
    size: int
    steps: int
    interval: float
    seed: int

    def check(self) -> None:
        check_at_least(1, trajectories=self.trajectories)
        check_at_least(8, size=self.size)
        check_at_least(2, steps=self.steps)
        check_at_least(0, simulation_seed=self.seed)
        if self.interval <= 0:
            raise UserError(f"interval={self.interval}: must be above 0")

    def drawn(self, trajectory: int) -> tuple[float, float]:
        """Width and height of a column, the same however many there are, and spread evenly."""
        offset = np.random.default_rng(self.seed).uniform(size=2)
        share = (offset + _SPREAD * trajectory) % 1
        width, height = (
            low + (high - low) * float(part) for (low, high), part in zip((_WIDTH, _HEIGHT), share, strict=True)
        )
        return round(width, 4), round(height, 4)


SHIPPED = Wanted(trajectories=16, size=64, steps=64, interval=0.0625, seed=0)


def load_dambreak(
    source: DambreakSource = "bundled",
    trajectories: int = SHIPPED.trajectories,
    size: int = SHIPPED.size,
    steps: int = SHIPPED.steps,
    interval: float = SHIPPED.interval,
    seed: int = SHIPPED.seed,
) -> Trajectories:
    """Velocity, pressure and share of water (u, v, p, alpha), and the width and height of each column.

    `bundled`: 16 collapses of 64 steps on 64 x 64 cells; the first ones, or the first steps, where fewer are asked for.
    Velocities are rounded to 1/128, pressures to 1/1024, shares to 1/256. `openfoam`: solved once, half a minute each,
    and kept.

    Args:
        source: where from.
        trajectories: how many.
        size: cells along either side of the box.
        steps: that are saved of each, from one interval after it lets go.
        interval: time from one to the next.
        seed: the same seed gives the same columns.

    Raises:
        UserError: if a number is out of range, or more is asked for than there is, or OpenFOAM is not installed.
        RunFailed: if OpenFOAM fails.
    """
    wanted = Wanted(trajectories, size, steps, float(interval), seed)
    wanted.check()
    if source == "bundled":
        return replace(_bundled(wanted), source=source, detail=_describe(wanted), simulated=True)
    digest = hashlib.sha256(json.dumps([_VERSION, *vars(wanted).values()]).encode()).hexdigest()[:16]
    path = cache_folder() / "fields" / f"dambreak-{digest}.hdf5"
    found = load_or_solve(path, "dambreak", lambda: solve(wanted), boundaries=("WALL", "WALL"))
    return replace(found, source=source, detail=_describe(wanted), simulated=True)


def _describe(wanted: Wanted) -> str:
    return f"{wanted.trajectories} columns of water, {wanted.size} x {wanted.size}"


def _bundled(wanted: Wanted) -> Trajectories:
    for name in ("trajectories", "steps", "size", "interval", "seed"):
        asked, has = getattr(wanted, name), getattr(SHIPPED, name)
        if asked != has and (name not in ("trajectories", "steps") or asked > has):
            raise UserError(f"{name}={asked}: the bundled set has {has}; data.source=openfoam makes others")
    found, count = read_well(BUNDLED), wanted.trajectories
    return replace(
        found,
        frames=InMemory(np.stack([found.frames.read(i, 0, wanted.steps) for i in range(count)])),
        lengths=np.minimum(found.lengths[:count], wanted.steps),
        parameters=found.parameters[:count],
        time=found.time[: wanted.steps],
    )


def solve(wanted: Wanted) -> Trajectories:
    """Solves every collapse, as many at a time as there are processors."""
    environment = installed("interIsoFoam")
    count, size = wanted.trajectories, wanted.size
    values = np.empty((count, wanted.steps, size * size, 4), np.float32)

    def one(trajectory: int, _: threading.Event) -> None:
        values[trajectory] = solved(wanted, trajectory, environment)

    side_by_side(count, one, "dambreak", "collapses")
    middle = (np.arange(size) + 0.5) / size
    return Trajectories(
        frames=InMemory(values),
        lengths=np.full(count, wanted.steps),
        fields=("u", "v", "p", "alpha"),
        groups=((0, 1), (2,), (3,)),
        grid=(size, size),
        coordinates=np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 2),
        parameters=np.array([wanted.drawn(trajectory) for trajectory in range(count)], np.float32),
        parameter_names=("width", "height"),
        mask=None,
        time=np.arange(1, wanted.steps + 1) * wanted.interval,
        source="openfoam",
        detail=_describe(wanted),
    )


def solved(wanted: Wanted, trajectory: int, environment: dict[str, str]) -> np.ndarray:
    """(steps, cells, 4) float64 u, v, p, alpha of one collapse."""
    cells = wanted.size**2
    with tempfile.TemporaryDirectory(prefix="adlx-dambreak-") as folder:
        case = Path(folder)
        write_case(case, wanted.size, wanted.drawn(trajectory), wanted.steps, wanted.interval)
        for program in ("blockMesh", "interIsoFoam"):
            run(case, program, environment)
        names = ("U", "p", "alpha.water")
        saved = [[read_field(path / name, cells) for name in names] for path in times(case, names)]
    velocity, p, alpha = (np.stack(parts) for parts in zip(*saved, strict=True))
    values = np.concatenate([velocity[..., :2], p - _mean(p, 1 - alpha), alpha], -1)
    if len(values) != wanted.steps or not np.isfinite(values).all():
        raise RunFailed(f"interIsoFoam saved {len(values)} of {wanted.steps} steps, or what is no number")
    return values


def _mean(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(T, 1, 1) of (T, cells, 1), where each cell counts by its share."""
    return (values * share).sum(1, keepdims=True) / share.sum(1, keepdims=True)
