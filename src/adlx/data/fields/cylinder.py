"""Flow past a cylinder, simulated."""

from typing import Any, Literal

from adlx.data.fields.fields import Fields
from adlx.data.fields.sources.cylinder import load_cylinder
from adlx.data.fields.sources.cylinder_mesh import load_cylinder_mesh
from adlx.data.fields.sources.trajectories import Trajectories

CylinderSource = Literal["lattice_boltzmann", "openfoam"]


class Cylinder(Fields):
    """Beside the arguments of `Fields`:

    Args:
        source: lattice_boltzmann solves on a grid; openfoam, which must be installed, on a mesh that fits the cylinder.
        trajectories: flows to solve, each with a Reynolds number, a phase and, on a grid, a place of the cylinder of
            its own. On a mesh, which they share, it stands still.
        reynolds: least and greatest Reynolds number.
        size: rows and columns of cells, of which the rows are 8 diameters. A mesh is as long, with cells as wide as
            these in and beside the near wake, smaller ones at the cylinder and larger ones elsewhere: as many as there
            are rows, a multiple of 4, go around it.
        steps: time steps of each flow.
        simulation_seed: which flows they are.
    """

    def __init__(
        self,
        source: CylinderSource = "lattice_boltzmann",
        trajectories: int = 16,
        reynolds: tuple[float, float] = (100.0, 400.0),
        size: tuple[int, int] = (64, 128),
        steps: int = 128,
        simulation_seed: int = 0,
        **windows: Any,
    ) -> None:
        super().__init__(**windows)
        self.source: CylinderSource = source
        self.count, self.reynolds, self.size = trajectories, reynolds, size
        self.steps, self.simulation_seed = steps, simulation_seed

    def load(self) -> Trajectories:
        solver = load_cylinder if self.source == "lattice_boltzmann" else load_cylinder_mesh
        return solver(self.count, self.reynolds, self.size, self.steps, seed=self.simulation_seed)
