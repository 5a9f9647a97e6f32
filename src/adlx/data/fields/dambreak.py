"""Collapse of a column of water in a box of air, solved by OpenFOAM."""

from typing import Any

from adlx.data.fields.fields import Fields
from adlx.data.fields.sources.dambreak import DambreakSource, load_dambreak
from adlx.data.fields.sources.trajectories import Trajectories


class Dambreak(Fields):
    """Beside the arguments of `Fields`:

    Args:
        source: bundled, 16 collapses that come with adlx, of which fewer, or fewer steps, may be asked for; openfoam
            solves any.
        trajectories: collapses, each with a width and a height of the column of its own.
        size: cells along either side of the box.
        steps: time steps of each collapse.
        simulation_seed: which collapses they are.
    """

    def __init__(
        self,
        source: DambreakSource = "bundled",
        trajectories: int = 16,
        size: int = 64,
        steps: int = 64,
        simulation_seed: int = 0,
        **windows: Any,
    ) -> None:
        super().__init__(**windows)
        self.source: DambreakSource = source
        self.count, self.size, self.steps, self.simulation_seed = trajectories, size, steps, simulation_seed

    def load(self) -> Trajectories:
        return load_dambreak(self.source, self.count, self.size, self.steps, seed=self.simulation_seed)
