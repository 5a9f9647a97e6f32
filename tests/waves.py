"""Small physical fields, made from a seed: waves that travel past a body. Each trajectory has its own speed."""

from pathlib import Path

import numpy as np

from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import write_well

ROWS, COLUMNS = 8, 16
WORDS = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.log_every_n_steps=1"]
WORDS += ["trainer.enable_progress_bar=false", "optimizer/schedule=constant"]
WINDOWS = ["data.window=6", "data.stride=3", "data.batch_size=8"]


def waves(
    count: int = 8,
    steps: int = 20,
    speeds: tuple[float, float] = (0.2, 0.5),
    grid: tuple[int, int] | None = (ROWS, COLUMNS),
    body: bool = True,
    parts: list[int] | None = None,
    seed: int = 0,
) -> Trajectories:
    """u, v and p on 8 x 16 cells, periodic along x with a wavelength of 16 cells; a body of 2 x 3 cells."""
    rng = np.random.default_rng(seed)
    y, x = (axis.ravel() for axis in np.mgrid[:ROWS, :COLUMNS])
    speed = np.linspace(*speeds, count)[rng.permutation(count)]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    along = 2 * np.pi * x / COLUMNS - speed[:, None, None] * np.arange(steps)[:, None] + phase  # (N, T, cells)
    across = np.pi * y / ROWS
    values = np.stack([1 + np.sin(along) * np.cos(across), np.cos(along) * np.sin(across), 3 * np.cos(along)], axis=-1)
    inside = ((y >= 3) & (y < 5) & (x >= 4) & (x < 7))[None] if body else None
    if inside is not None:
        values[:, :, inside[0]] = 0
    rows, columns = grid or (ROWS, COLUMNS)
    at = np.stack([column.ravel() for column in np.mgrid[:rows, :columns][::-1]], axis=1).astype(float)
    return Trajectories(
        frames=InMemory(values.astype(np.float32)),
        lengths=np.full(count, steps),
        fields=("u", "v", "p"),
        groups=((0, 1), (2,)),
        grid=grid,
        coordinates=at,
        parameters=speed[:, None].astype(np.float32),
        parameter_names=("speed",),
        mask=inside,
        time=0.5 * np.arange(steps),
        source="simulated",
        detail="waves",
        parts=None if parts is None else np.array(parts, dtype=np.int8),
    )


def write_waves(path: Path, **arguments) -> str:
    """Writes `waves` to a file and returns its path."""
    write_well(path, waves(**arguments), "waves")
    return str(path)
