"""Makes src/adlx/data/fields/sources/dambreak.hdf5, the bundled trajectories; needs OpenFOAM and 10 minutes."""

import logging
from dataclasses import replace

import numpy as np

from adlx.data.fields.sources.dambreak import BUNDLED, BUNDLED_SETTINGS, solve
from adlx.data.fields.sources.trajectories import InMemory
from adlx.data.fields.sources.well import write_well

GRAIN = np.array([128, 128, 1024, 256])  # steps per unit of u, v, p and alpha; finer steps compress badly

logging.basicConfig(level=logging.INFO, format="%(message)s")
simulated = solve(BUNDLED_SETTINGS)
values = np.stack([simulated.frames.read(i, 0, BUNDLED_SETTINGS.steps) for i in range(len(simulated))])
rounded = InMemory((np.round(values * GRAIN) / GRAIN).astype(np.float32))
write_well(BUNDLED, replace(simulated, frames=rounded), "dambreak", boundaries=("WALL", "WALL"), packed=True)
print(f"{BUNDLED.stat().st_size / 1e6:.2f} MB, largest rounding error {np.abs(rounded.values - values).max():.4f}")
