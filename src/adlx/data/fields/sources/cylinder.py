"""Vortex streets behind a cylinder, which are solved once and stored as HDF5.

A cylinder of diameter D stands in a channel 8 D high with frictionless walls. The fluid enters with uniform speed U.
Trajectories differ in the Reynolds number U D / nu, the position of the cylinder and the phase of its wake. The solver
(`lattice_boltzmann.py`) has a lattice of about 16 cells per diameter; a saved cell is a mean of lattice cells. The
lattice is longer than the saved area at both ends. Lengths are in D, velocities in U, pressures in rho U^2 and times in
D / U; (0, 0) is the lower left corner of the saved area.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from adlx.data.fields.sources.flow_cache import flow_file, load_or_solve, solve_in_parallel
from adlx.data.fields.sources.lattice_boltzmann import CylinderFlow
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.splits import check_at_least
from adlx.errors import UserError

log = logging.getLogger("adlx")

_VERSION = 1  # of the solver and the random settings; raise it when flows change, so that they are solved again
HEIGHT = 8.0
CENTRE_X = 4.0  # mean x of the cylinders
_MAX_OFFSET = 0.5  # of a cylinder from the mean position, in x and in y
LAYER = 1.5  # length of the damping layer at each end
_SPEED = 0.1  # lattice cells per step
_DEVELOPED = 30.0  # time until the wake is developed
_PHASE = 6.0  # longer than a period of vortex shedding
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class FlowSettings:
    """Settings of a set of flows; their values name its file in the cache.

    Args:
        trajectories: number of flows.
        reynolds: the lowest and the highest Reynolds number.
        size: rows and columns of saved cells; the rows cover 8 diameters.
        steps: time steps of each flow that are saved after its wake is developed.
        interval: time between two saved steps; a period of vortex shedding is about 4 to 6.
        resolution: lattice cells along a diameter; rounded, so that a saved cell has a whole number of lattice cells.
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
        """Lattice cells along one side of a saved cell."""
        return max(1, round(self.resolution * HEIGHT / self.size[0]))

    @property
    def diameter(self) -> float:
        """Diameter of the cylinder in lattice cells."""
        return self.refinement * self.size[0] / HEIGHT

    @property
    def stride(self) -> int:
        """Steps of the solver between two saved steps."""
        return max(1, round(self.interval * self.diameter / _SPEED))

    def draw(self, trajectory: int) -> tuple[float, float, float, float, float]:
        """Draws the Reynolds number, x and y of the cylinder, its rotation, and the time before the first saved step.

        A trajectory does not depend on the number of trajectories. Reynolds numbers are spread evenly by the golden
        ratio, whatever their number.
        """
        low, high = self.reynolds
        offset = np.random.default_rng(self.seed).uniform()
        rng = np.random.default_rng([self.seed, trajectory])
        x, y = np.array([CENTRE_X, HEIGHT / 2]) + rng.uniform(-_MAX_OFFSET, _MAX_OFFSET, 2)
        turn = rng.choice([-1, 1]) * rng.uniform(0.7, 1.0)
        reynolds = low + (high - low) * ((offset + _GOLDEN * trajectory) % 1)
        return reynolds, x, y, turn, _DEVELOPED + rng.uniform(0, _PHASE)


def load_cylinder(settings: FlowSettings) -> Trajectories:
    """Loads velocity and pressure (u, v, p) of vortex streets, and the Reynolds number and position of each cylinder.

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
    """Solves all flows, as many at a time as there are processors, each in one thread."""
    count, (rows, columns) = settings.trajectories, settings.size
    values = np.empty((count, settings.steps, rows * columns, 3), np.float32)
    mask = np.empty((count, rows * columns), bool)
    threads = torch.get_num_threads()

    def solve_number(trajectory: int, stopped: threading.Event) -> None:
        torch.set_num_threads(1)  # with more threads, sums have another order, and the last bits differ
        for step, fields in enumerate(solve_flow(settings, trajectory, mask[trajectory])):
            values[trajectory, step] = fields
            if stopped.is_set():
                return
        if not np.isfinite(values[trajectory, -1]).all():
            raise UserError(f"the flow at resolution={settings.resolution} became unstable; raise it")

    try:
        solve_in_parallel(count, solve_number, "cylinder", "flows")
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


def solve_flow(settings: FlowSettings, trajectory: int, mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yields (cells, 3) u, v, p of each saved step; writes `mask` (cells) before the first step."""
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
        """Cuts the saved area into (rows, refinement, columns, refinement, ...)."""
        inner = fields[:, layer:-layer].numpy()
        return inner.reshape(rows, refinement, columns, refinement, *inner.shape[2:])

    fluid = ~blocks(flow.inside[0])
    middle_x, middle_y = ((np.arange(cells) + 0.5) * HEIGHT / rows for cells in (columns, rows))
    body = (middle_x - x) ** 2 + (middle_y[:, None] - y) ** 2 < 0.25
    mask[:] = body.ravel()
    share = np.where(body, 0, 1 / np.maximum(fluid.sum((1, 3)), 1))[..., None]  # fields are 0 inside the cylinder
    flow.advance(round(before * diameter / _SPEED))
    for _ in range(settings.steps):
        yield (blocks(flow.fields()[0].permute(1, 2, 0)).sum((1, 3)) * share).reshape(-1, 3)
        flow.advance(settings.stride)
