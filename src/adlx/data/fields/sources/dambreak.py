"""Columns of water that collapse in a closed box of air: 16 that are part of adlx, or more if OpenFOAM is installed.

A column stands at the left wall of a square box and is released at time 0. The water runs along the floor, climbs the
right wall and falls back. Trajectories differ in the width and height of the column. OpenFOAM's interIsoFoam solves
both fluids on one mesh and stores the surface as the share of water in each cell (isoAdvector: Roenby, Bredmose, Jasak
2016, "A computational method for sharp interface advection"). The files of the case are in `dambreak_case.py`.

Lengths are in the side L of the box, velocities in sqrt(g L), times in sqrt(L / g), pressures in rho g L with rho of
water; (0, 0) is the lower left corner. p is the full pressure, hydrostatic part included, minus its mean over the air.
alpha is the share of water, from 0 to 1.
"""

import logging
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from adlx.data.fields.sources.dambreak_case import write_case
from adlx.data.fields.sources.flow_cache import flow_file, load_or_solve, solve_in_parallel
from adlx.data.fields.sources.openfoam import openfoam_environment, read_field, run_program, time_folders
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import read_well
from adlx.data.splits import check_at_least
from adlx.errors import RunFailed, UserError

log = logging.getLogger("adlx")

BUNDLED = Path(__file__).with_name("dambreak.hdf5")

_VERSION = 1  # of the case and the random settings; raise it when flows change, so that they are solved again
_WIDTH = (0.2, 0.4)
_HEIGHT = (0.3, 0.55)
_SPREAD = np.array([0.7548776662466927, 0.5698402909980532])  # spreads points evenly in the plane


@dataclass(frozen=True)
class CollapseSettings:
    """Settings of a set of collapses; their values name its file in the cache.

    Args:
        trajectories: number of collapses.
        size: cells along each side of the box.
        steps: saved time steps of each collapse; the first is one interval after the release.
        interval: time between two saved steps.
        seed: the same seed gives the same columns.

    Raises:
        UserError: a number is out of range.
    """

    trajectories: int = 16
    size: int = 64
    steps: int = 64
    interval: float = 0.0625
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(1, trajectories=self.trajectories)
        check_at_least(8, size=self.size)
        check_at_least(2, steps=self.steps)
        check_at_least(0, simulation_seed=self.seed)
        if not self.interval > 0:
            raise UserError(f"interval={self.interval}: must be above 0")

    def draw(self, trajectory: int) -> tuple[float, float]:
        """Draws width and height of a column, evenly spread; they do not depend on the number of trajectories."""
        offset = np.random.default_rng(self.seed).uniform(size=2)
        share = (offset + _SPREAD * trajectory) % 1
        width, height = (
            low + (high - low) * float(part) for (low, high), part in zip((_WIDTH, _HEIGHT), share, strict=True)
        )
        return round(width, 4), round(height, 4)


BUNDLED_SETTINGS = CollapseSettings()


def check_bundled(settings: CollapseSettings) -> None:
    """Checks that the bundled set holds these collapses: its own settings, or fewer trajectories or steps.

    Raises:
        UserError: the bundled set does not hold them.
    """
    keys = {"seed": "data.simulation_seed", "interval": "interval"}
    for name, value in vars(settings).items():
        bundled = getattr(BUNDLED_SETTINGS, name)
        if value != bundled and (name not in ("trajectories", "steps") or value > bundled):
            key = keys.get(name, f"data.{name}")
            raise UserError(f"{key}={value}: the bundled set has {bundled}; data.source=openfoam makes others")


def load_bundled(settings: CollapseSettings) -> Trajectories:
    """Reads collapses that are part of adlx: velocity, pressure and share of water (u, v, p, alpha), and the width and
    height of each column.

    The file has 16 collapses of 64 steps on 64 x 64 cells; the first ones are read. Velocities are rounded to 1/128,
    pressures to 1/1024, shares to 1/256.

    Raises:
        UserError: the bundled set does not hold them.
    """
    check_bundled(settings)
    stored, count, steps = read_well(BUNDLED), settings.trajectories, settings.steps
    return replace(
        stored,
        frames=InMemory(np.stack([stored.frames.read(i, 0, steps) for i in range(count)])),
        lengths=np.minimum(stored.lengths[:count], steps),
        parameters=stored.parameters[:count],
        time=stored.time[:steps],
        source="bundled",
        detail=_describe(settings),
        simulated=True,
    )


def load_dambreak(settings: CollapseSettings) -> Trajectories:
    """Loads collapses with any settings. OpenFOAM solves each once, in half a minute; they are stored in the cache.

    Raises:
        UserError: OpenFOAM is not installed.
        RunFailed: OpenFOAM fails.
    """
    path = flow_file("dambreak", _VERSION, settings)
    flows = load_or_solve(path, "dambreak", lambda: solve(settings), boundaries=("WALL", "WALL"))
    return replace(flows, source="openfoam", detail=_describe(settings), simulated=True)


def _describe(settings: CollapseSettings) -> str:
    return f"{settings.trajectories} columns of water, {settings.size} x {settings.size}"


def solve(settings: CollapseSettings) -> Trajectories:
    """Solves all collapses, as many at a time as there are processors."""
    environment = openfoam_environment("interIsoFoam")
    count, size = settings.trajectories, settings.size
    values = np.empty((count, settings.steps, size * size, 4), np.float32)

    def solve_number(trajectory: int, _: threading.Event) -> None:
        values[trajectory] = solve_collapse(settings, trajectory, environment)

    solve_in_parallel(count, solve_number, "dambreak", "collapses")
    middle = (np.arange(size) + 0.5) / size
    return Trajectories(
        frames=InMemory(values),
        lengths=np.full(count, settings.steps),
        fields=("u", "v", "p", "alpha"),
        groups=((0, 1), (2,), (3,)),
        grid=(size, size),
        coordinates=np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 2),
        parameters=np.array([settings.draw(trajectory) for trajectory in range(count)], np.float32),
        parameter_names=("width", "height"),
        mask=None,
        time=np.arange(1, settings.steps + 1) * settings.interval,
        source="openfoam",
        detail=_describe(settings),
    )


def solve_collapse(settings: CollapseSettings, trajectory: int, environment: dict[str, str]) -> np.ndarray:
    """Solves one collapse; returns u, v, p, alpha (steps, cells, 4) float64."""
    cells = settings.size**2
    with tempfile.TemporaryDirectory(prefix="adlx-dambreak-") as folder:
        case = Path(folder)
        write_case(case, settings.size, settings.draw(trajectory), settings.steps, settings.interval)
        for program in ("blockMesh", "interIsoFoam"):
            run_program(case, program, environment)
        names = ("U", "p", "alpha.water")
        saved = [[read_field(path / name, cells) for name in names] for path in time_folders(case, names)]
    velocity, p, alpha = (np.stack(parts) for parts in zip(*saved, strict=True))
    values = np.concatenate([velocity[..., :2], p - _weighted_mean(p, 1 - alpha), alpha], -1)
    if len(values) != settings.steps or not np.isfinite(values).all():
        raise RunFailed(f"interIsoFoam saved {len(values)} of {settings.steps} steps, or values that are not finite")
    return values


def _weighted_mean(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Returns (T, 1, 1) the mean of (T, cells, 1), with the shares (T, cells, 1) as weights."""
    return (values * share).sum(1, keepdims=True) / share.sum(1, keepdims=True)
