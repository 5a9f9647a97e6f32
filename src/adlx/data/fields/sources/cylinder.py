"""Vortex streets behind a cylinder, solved here once and kept as HDF5.

A cylinder of diameter D stands across a channel 8 D high, between walls without friction, in a flow of speed U that
enters evenly. Its Reynolds number U D / nu, where exactly it stands and how its wake began differ by trajectory. What
is solved is 8 D high and longer at both ends than what is saved, on a lattice of 16 cells a diameter or about that
(`lattice_boltzmann.py`), of which saved cells are means. Lengths are in D, velocities in U, pressures in rho U^2 and
times in D / U; (0, 0) is the lower left corner of what is saved.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from adlx.data.fields.sources.flow_cache import flow_file, load_or_solve, side_by_side
from adlx.data.fields.sources.lattice_boltzmann import CylinderFlow
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.splits import check_at_least
from adlx.errors import UserError

log = logging.getLogger("adlx")

_VERSION = 1  # of the solver and of what is drawn; another one makes new files
HEIGHT = 8.0
AHEAD = 4.0  # where cylinders stand, on average
_ASIDE = 0.5  # at most, in both directions
LAYER = 1.5  # at both ends
_SPEED = 0.1  # cells a step
_DEVELOPED = 30.0  # time after which a wake is developed
_PHASE = 6.0  # more than a period of shedding
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class FlowSettings:
    """Settings of a set of flows; their values name its file in the cache.

    Args:
        trajectories: number of flows.
        reynolds: the lowest and the highest Reynolds number.
        size: rows and columns of saved cells; the rows cover 8 diameters.
        steps: saved time steps of each flow, once its wake is developed.
        interval: time between two saved steps; a period of vortex shedding is about 4 to 6.
        resolution: cells of the solver's lattice along a diameter; rounded, so that a saved cell has whole ones.
        seed: the same seed gives the same flows.

    Raises:
        UserError: a number is out of range.
    """

    trajectories: int
    reynolds: tuple[float, float]
    size: tuple[int, int]
    steps: int
    interval: float = 0.3
    resolution: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.reynolds
        if not 60 <= low <= high <= 500:
            raise UserError(f"data.reynolds={[low, high]}: give the lower limit first, both between 60 and 500")
        rows, columns = self.size
        if rows < 8 or columns < rows:
            raise UserError(f"data.size={[rows, columns]}: give at least 8 rows, and at least as many columns as rows")
        check_at_least(1, trajectories=self.trajectories, steps=self.steps)
        check_at_least(0, simulation_seed=self.seed)
        if not self.interval > 0:
            raise UserError(f"interval={self.interval}: must be above 0")
        if self.resolution < 8:
            raise UserError(f"resolution={self.resolution}: must be at least 8 cells of the lattice along a diameter")

    @property
    def refinement(self) -> int:
        """Cells of the lattice along one saved cell."""
        return max(1, round(self.resolution * HEIGHT / self.size[0]))

    @property
    def diameter(self) -> float:
        """In cells of the lattice."""
        return self.refinement * self.size[0] / HEIGHT

    @property
    def stride(self) -> int:
        """Steps of the solver between two saved steps."""
        return max(1, round(self.interval * self.diameter / _SPEED))

    def draw(self, trajectory: int) -> tuple[float, float, float, float, float]:
        """Draws Reynolds number, x and y of the cylinder, its turn, and the time before the first saved step.

        A trajectory does not depend on how many there are. Reynolds numbers follow the golden ratio, which spreads any
        number of them evenly.
        """
        low, high = self.reynolds
        offset = np.random.default_rng(self.seed).uniform()
        rng = np.random.default_rng([self.seed, trajectory])
        x, y = np.array([AHEAD, HEIGHT / 2]) + rng.uniform(-_ASIDE, _ASIDE, 2)
        turn = rng.choice([-1, 1]) * rng.uniform(0.7, 1.0)
        reynolds = low + (high - low) * ((offset + _GOLDEN * trajectory) % 1)
        return reynolds, x, y, turn, _DEVELOPED + rng.uniform(0, _PHASE)


def load_cylinder(settings: FlowSettings) -> Trajectories:
    """Loads velocity and pressure (u, v, p) of vortex streets, with the Reynolds number and position of each cylinder.

    The flows are solved once and stored in the cache.

    Raises:
        UserError: a flow becomes unstable.
    """
    path = flow_file("cylinder", _VERSION, settings)
    flows = load_or_solve(path, "cylinder", lambda: solve(settings), boundaries=("OPEN", "WALL"))
    (low, high), (rows, columns) = settings.reynolds, settings.size
    detail = f"{settings.trajectories} trajectories, Re {low:g} to {high:g}, {rows} x {columns}"
    return replace(flows, source="lattice_boltzmann", detail=detail, simulated=True)


def solve(settings: FlowSettings) -> Trajectories:
    """Solves every flow, as many at a time as there are processors, each on its own."""
    count, (rows, columns) = settings.trajectories, settings.size
    values = np.empty((count, settings.steps, rows * columns, 3), np.float32)
    mask = np.empty((count, rows * columns), bool)
    threads = torch.get_num_threads()

    def one(trajectory: int, stopped: threading.Event) -> None:
        torch.set_num_threads(1)  # with more, sums would be divided otherwise, and flows differ in their last bits
        for step, fields in enumerate(solve_one(settings, trajectory, mask[trajectory])):
            values[trajectory, step] = fields
            if stopped.is_set():
                return
        if not np.isfinite(values[trajectory, -1]).all():
            raise UserError(f"the flow at resolution={settings.resolution} became unstable; raise it")

    try:
        side_by_side(count, one, "cylinder", "flows")
    finally:
        torch.set_num_threads(threads)

    x, y = ((np.arange(cells) + 0.5) * HEIGHT / rows for cells in (columns, rows))
    drawn = np.array([settings.draw(trajectory)[:3] for trajectory in range(count)], np.float32)
    return Trajectories(
        frames=InMemory(values),
        lengths=np.full(count, settings.steps),
        fields=("u", "v", "p"),
        groups=((0, 1), (2,)),
        grid=settings.size,
        coordinates=np.stack(np.meshgrid(x, y), -1).reshape(-1, 2),
        parameters=drawn,
        parameter_names=("reynolds", "cylinder_x", "cylinder_y"),
        mask=mask,
        time=np.arange(settings.steps) * settings.stride * _SPEED / settings.diameter,
        source="lattice_boltzmann",
        detail="",
        simulated=True,
    )


def solve_one(settings: FlowSettings, trajectory: int, mask: np.ndarray) -> Iterator[np.ndarray]:
    """(cells, 3) u, v, p of each step that is saved; fills `mask` (cells) before the first."""
    reynolds, x, y, turn, before = settings.draw(trajectory)
    (rows, columns), diameter, refinement = settings.size, settings.diameter, settings.refinement
    layer = round(LAYER * diameter)
    centre = torch.tensor([[x * diameter + layer, y * diameter]], dtype=torch.float64)
    flow = CylinderFlow(
        (rows * refinement, columns * refinement + 2 * layer),
        diameter,
        centre,
        torch.tensor([reynolds]),
        turn=torch.tensor([turn]),
        layer=layer,
        speed=_SPEED,
    )

    def blocks(fields: torch.Tensor) -> np.ndarray:
        """(rows, refinement, columns, refinement, ...) of what is saved."""
        inner = fields[:, layer:-layer].numpy()
        return inner.reshape(rows, refinement, columns, refinement, *inner.shape[2:])

    fluid = ~blocks(flow.inside[0])
    middle_x, middle_y = ((np.arange(cells) + 0.5) * HEIGHT / rows for cells in (columns, rows))
    body = (middle_x - x) ** 2 + (middle_y[:, None] - y) ** 2 < 0.25
    mask[:] = body.ravel()
    share = np.where(body, 0, 1 / np.maximum(fluid.sum((1, 3)), 1))[..., None]  # fields are 0 where no fluid is
    flow.advance(round(before * diameter / _SPEED))
    for _ in range(settings.steps):
        yield (blocks(flow.fields()[0].permute(1, 2, 0)).sum((1, 3)) * share).reshape(-1, 3)
        flow.advance(settings.stride)
