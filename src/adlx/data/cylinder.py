"""Flow past a cylinder, simulated."""

from typing import Any

from adlx.data.fields import Fields
from adlx.data.sources.cylinder import load_cylinder
from adlx.data.sources.trajectories import Trajectories


class Cylinder(Fields):
    """Beside the arguments of `Fields`:

    Args:
        trajectories: flows to solve, each with a Reynolds number, a phase and a place of the cylinder of its own.
        reynolds: least and greatest Reynolds number.
        size: rows and columns of cells.
        steps: time steps of each flow.
        simulation_seed: which flows they are.
    """

    def __init__(
        self,
        trajectories: int = 16,
        reynolds: tuple[float, float] = (100.0, 400.0),
        size: tuple[int, int] = (64, 128),
        steps: int = 128,
        simulation_seed: int = 0,
        **windows: Any,
    ) -> None:
        super().__init__(**windows)
        self.count, self.reynolds, self.size = trajectories, reynolds, size
        self.steps, self.simulation_seed = steps, simulation_seed

    def load(self) -> Trajectories:
        return load_cylinder(self.count, self.reynolds, self.size, self.steps, seed=self.simulation_seed)
