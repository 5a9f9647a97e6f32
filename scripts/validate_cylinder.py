"""Compares the vortices behind the cylinder of `adlx.data.fields.sources.lattice_boltzmann` with experiments.

Writes a table and a figure of the Strouhal number f D / U over the Reynolds number in two channels, with drag and lift
of one flow. This takes about five minutes on one thread.
"""

import argparse
import sys

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from adlx.data.fields.sources.lattice_boltzmann import CylinderFlow
from adlx.figures import style

EXAMPLES = """examples:
  python scripts/validate_cylinder.py --out docs/cylinder_validation.png
  python scripts/validate_cylinder.py --diameter 8 --out fast.png
"""
REYNOLDS = (60, 80, 100, 150, 200, 300, 400)
SHOWN = 100  # Reynolds number of the flow whose forces are drawn
# Height, length, distance of the cylinder from the left end, and thickness of the layer at both ends, in diameters.
# Walls and an inlet close to the cylinder raise the frequency. The second channel is that of `data=cylinder`.
CHANNELS = ((30.0, 28.0, 14.0, 2.0), (8.0, 19.0, 5.5, 1.5))
SPEED = 0.1  # cells per step
STARTED, DEVELOPED, ALL = 12, 45, 75  # times in D / U: the start has no effect, the wake is regular, the end
TWO_DIMENSIONAL = 180  # Reynolds number up to which real wakes are two-dimensional


def measured(reynolds: np.ndarray) -> np.ndarray:
    """St of parallel shedding, 49 < Re < 178 (Williamson, 1989, JFM 206)."""
    return -3.3265 / reynolds + 0.1816 + 1.6e-4 * reynolds


def extrapolated(reynolds: np.ndarray) -> np.ndarray:
    """St of a law for 47 < Re < 180 that can be extrapolated (Fey, Koenig & Eckelmann, 1998, Phys. Fluids 10)."""
    return 0.2684 - 1.0356 / np.sqrt(reynolds)


def forces(channel: tuple[float, float, float, float], diameter: int) -> np.ndarray:
    """Drag and lift (steps, Reynolds numbers, 2) from the start of the flows, which are simulated together."""
    height, length, ahead, layer = (round(part * diameter) for part in channel)
    flow = CylinderFlow(
        (height, length),
        diameter,
        torch.tensor([[ahead, height / 2]]).repeat(len(REYNOLDS), 1),
        torch.tensor(REYNOLDS, dtype=torch.float64),
        turn=torch.ones(len(REYNOLDS)),
        layer=layer,
        speed=SPEED,
    )
    parts = []
    for unit in range(ALL):
        parts.append(flow.advance(round(diameter / SPEED)).numpy())
        if unit % 10 == 9:
            print(f"channel {channel[0]:g} D high: {unit + 1} of {ALL} D / U", file=sys.stderr, flush=True)
    return np.concatenate(parts)


def strouhal(lift: np.ndarray, unit: int) -> np.ndarray:
    """The frequency of each period of the developed lift; a period starts where the lift rises through its mean."""
    lift = lift[DEVELOPED * unit :] - lift[DEVELOPED * unit :].mean()
    up = np.flatnonzero((lift[:-1] < 0) & (lift[1:] >= 0))
    return unit / np.diff(up + lift[up] / (lift[up] - lift[up + 1]))


@style.styled()
def figure(strouhals: list[np.ndarray], forces_shown: np.ndarray, diameter: int) -> Figure:
    """Draws St (Reynolds numbers,) of each channel, and drag and lift (steps, 2) of one flow."""
    drawn = style.blank(
        f"Flow past a cylinder by the lattice Boltzmann method, {diameter} cells per diameter", height=4.2
    )
    grid = drawn.add_gridspec(2, 2, width_ratios=(5, 4))
    left = drawn.add_subplot(grid[:, 0])
    inside, beyond = np.linspace(49, TWO_DIMENSIONAL, 100), np.linspace(TWO_DIMENSIONAL, 420, 100)
    left.fill_between(inside, 0.97 * measured(inside), 1.03 * measured(inside), color="#E3E3E3", label="within 3 %")
    left.plot(inside, measured(inside), color=style.ACTUAL, label="measured (Williamson, 1989)")
    left.plot(
        beyond,
        extrapolated(beyond),
        color=style.ACTUAL,
        linestyle=":",
        label="law of laminar wakes, extrapolated (Fey et al., 1998)",
    )
    looks = ((style.MODEL, "o"), (style.WORSE, "s"))
    for (height, *_), values, (color, marker) in zip(CHANNELS, strouhals, looks, strict=True):
        label = f"simulated, channel {height:g} D high (blockage {100 / height:.1f} %)"
        left.plot(REYNOLDS, values, marker, color=color, markersize=6, label=label)
    left.set_title("Frequency at which vortices are shed")
    left.set_xlabel("Reynolds number  U D / ν")
    left.set_ylabel("Strouhal number  f D / U")
    left.legend(loc="lower right")

    unit = round(diameter / SPEED)
    time = np.arange(1, len(forces_shown) + 1) / unit
    developed = forces_shown[DEVELOPED * unit :]
    means = (f"mean {developed[:, 0].mean():.2f}", f"amplitude {np.ptp(developed[:, 1]) / 2:.2f}")
    upper = drawn.add_subplot(grid[0, 1])
    lower = drawn.add_subplot(grid[1, 1], sharex=upper)
    for panel, values, name, mean, color in zip(
        (upper, lower), forces_shown.T, ("drag", "lift"), means, (style.MODELS[2], style.MODELS[3]), strict=True
    ):
        panel.plot(time, values, color=color)
        panel.axvspan(DEVELOPED, ALL, color="#F1F1F1", zorder=0)
        panel.set_ylabel(f"{name} coefficient")
        low, high = values[STARTED * unit :].min(), values[STARTED * unit :].max()
        panel.set_ylim(low - 0.3 * (high - low), high + 0.6 * (high - low))
        panel.text(0.98, 0.95, mean, transform=panel.transAxes, ha="right", va="top")
    upper.set_title(f"Forces at Re {SHOWN}, channel {CHANNELS[0][0]:g} D high")
    upper.tick_params(labelbottom=False)
    lower.set_xlim(0, ALL)
    lower.set_xlabel("time  D / U  (the cylinder turns until 5; shaded: evaluated)")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the PNG")
    parser.add_argument("--diameter", type=int, default=12, help="in cells of the lattice (default 12)")
    given = parser.parse_args()
    simulated = [forces(channel, given.diameter) for channel in CHANNELS]
    unit = round(given.diameter / SPEED)
    by_channel = [[strouhal(lift, unit) for lift in of_channel[..., 1].T] for of_channel in simulated]

    print("   Re  measured", *(f"  {height:2.0f} D high  error  spread" for height, *_ in CHANNELS))
    for index, reynolds in enumerate(REYNOLDS):
        law = float((measured if reynolds < TWO_DIMENSIONAL else extrapolated)(np.array(reynolds)))
        cells = []
        for periods in by_channel:
            mean = periods[index].mean()
            cells.append(f"{mean:11.4f} {100 * (mean / law - 1):+5.1f}% {100 * np.ptp(periods[index]) / mean:6.2f}%")
        print(f"{reynolds:5d}  {law:.4f}{' ' if reynolds < TWO_DIMENSIONAL else '*'} ", *cells)
    print(f"* above Re {TWO_DIMENSIONAL} real wakes are three-dimensional; the law of laminar wakes is extrapolated")
    means = [np.array([periods.mean() for periods in of_channel]) for of_channel in by_channel]
    style.save(figure(means, simulated[0][:, REYNOLDS.index(SHOWN)], given.diameter), given.out)
    with Image.open(given.out) as drawn:
        drawn.convert("RGB").quantize(64).save(given.out, optimize=True)  # a third of the size
    print(given.out)


if __name__ == "__main__":
    main()
