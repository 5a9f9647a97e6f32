"""Collapse of a column of water in a box of air, solved by OpenFOAM."""

from typing import Any, Literal

from adlx.data.fields.fields import Fields
from adlx.data.fields.sources.dambreak import CollapseSettings, check_bundled, load_bundled, load_dambreak
from adlx.data.fields.sources.trajectories import Trajectories

DambreakSource = Literal["bundled", "openfoam"]


class Dambreak(Fields):
    """Collapsing columns of water. Arguments in addition to those of `Fields`:

    Args:
        source: `bundled` reads the 16 collapses that are part of adlx, or fewer of them, or fewer steps; `openfoam`,
            which must be installed, solves collapses with any settings.
        trajectories: number of collapses. Each column has its own width and height.
        size: cells along each side of the box.
        steps: time steps of each collapse.
        simulation_seed: seed of the columns.
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
        self.settings = CollapseSettings(trajectories, size, steps, seed=simulation_seed)
        self.source: DambreakSource = source
        if source == "bundled":
            check_bundled(self.settings)

    def load(self) -> Trajectories:
        return load_bundled(self.settings) if self.source == "bundled" else load_dambreak(self.settings)
