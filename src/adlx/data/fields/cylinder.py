"""Simulated flow past a cylinder."""

from typing import Any, Literal

from adlx.data.fields.fields import Fields
from adlx.data.fields.sources.cylinder import FlowSettings, load_cylinder
from adlx.data.fields.sources.cylinder_mesh import check_mesh, load_cylinder_mesh
from adlx.data.fields.sources.trajectories import Trajectories

CylinderSource = Literal["lattice_boltzmann", "openfoam"]


class Cylinder(Fields):
    """Vortex streets behind a cylinder. Arguments in addition to those of `Fields`:

    Args:
        source: `lattice_boltzmann` solves on a grid, `openfoam`, which must be installed, on a mesh around it.
        trajectories: number of flows. Each has its own Reynolds number and phase, and on a grid its own position of the
            cylinder. On a mesh all flows have the same position, because they share the mesh.
        reynolds: the lowest and the highest Reynolds number, from 60 to 500.
        size: rows and columns of cells; the rows cover 8 diameters. A mesh covers the same area. Its cells have this
            width in and near the wake, and are smaller at the cylinder and larger elsewhere. The number of cells
            around the cylinder is that of the rows, which must be a multiple of 4.
        steps: time steps of each flow.
        simulation_seed: seed of the flows.
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
        low, high = map(float, reynolds)
        self.settings = FlowSettings(trajectories, (low, high), size, steps, seed=simulation_seed)
        self.source: CylinderSource = source
        if source == "openfoam":
            check_mesh(self.settings)

    def load(self) -> Trajectories:
        return load_cylinder_mesh(self.settings) if self.source == "openfoam" else load_cylinder(self.settings)
