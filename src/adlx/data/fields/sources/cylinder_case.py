"""The files of a case of OpenFOAM's icoFoam: flow past a cylinder in a channel, on a mesh around the cylinder.

Four blocks of cells fill a square with a round hole, eight blocks fill the rest of the channel; cells far from the
cylinder are larger. The diameter, the inflow speed and the density are 1. Top and bottom are frictionless walls. As in
`lattice_boltzmann.py`, the cylinder rotates at the start with a speed proportional to sin^2 of time. This starts the
shedding of vortices without noise.
"""

from dataclasses import dataclass
from itertools import product
from math import ceil, log, pi, sin, sqrt
from pathlib import Path

_HALF = 1.0  # half the side of the square
_THIN = 0.2  # thickness of the cells at the cylinder, in cells of the square
_FAR = {"left": 3.0, "right": 2.5, "wall": 2.5}  # length of the last cells at each end, in cells of the square
_STEP = 1.6  # time step times the number of cells around the cylinder; keeps Courant numbers at 1 or below
_TURN = 5.0  # time for which the cylinder rotates

_CONSTANT = {
    "system/fvSchemes": """
ddtSchemes { default CrankNicolson 0.9; }
gradSchemes { default Gauss linear; }
divSchemes { default none; div(phi,U) Gauss linear; }
laplacianSchemes { default Gauss linear corrected; }
interpolationSchemes { default linear; }
snGradSchemes { default corrected; }""",
    "system/fvSolution": """
solvers
{
    p { solver PCG; preconditioner DIC; tolerance 1e-6; relTol 0.05; }
    pFinal { $p; relTol 0; }
    U { solver smoothSolver; smoother symGaussSeidel; tolerance 1e-7; relTol 0; }
}
PISO { nCorrectors 2; nNonOrthogonalCorrectors 0; }""",
}
_FIELDS = {
    "U": (
        "volVectorField",
        "[0 1 -1 0 0 0 0];\ninternalField uniform (1 0 0)",
        {
            "inlet": "type fixedValue; value uniform (1 0 0);",
            "outlet": "type inletOutlet; inletValue uniform (0 0 0); value uniform (1 0 0);",
            "walls": "type slip;",
            "cylinder": "type rotatingWallVelocity; origin ({x} {y} 0); axis (0 0 1); omega table ({omega});",
        },
    ),
    "p": (
        "volScalarField",
        "[0 2 -2 0 0 0 0];\ninternalField uniform 0",
        {
            "inlet": "type zeroGradient;",
            "outlet": "type fixedValue; value uniform 0;",
            "walls": "type zeroGradient;",
            "cylinder": "type zeroGradient;",
        },
    ),
}


@dataclass(frozen=True)
class Channel:
    """Geometry of the channel in diameters; the bottom is at y = 0.

    Args:
        left, right: x of the two ends.
        height: y of the top.
        centre: x and y of the cylinder.
        around: number of cells around the cylinder, a multiple of 4.
    """

    left: float
    right: float
    height: float
    centre: tuple[float, float]
    around: int

    @property
    def side(self) -> int:
        """Number of cells along a side of the square."""
        return self.around // 4

    @property
    def columns(self) -> list[tuple[int, float]]:
        """Number of cells, and ratio of the last to the first cell: left of the square, across it, right of it."""
        cell = 2 * _HALF / self.side
        count, growth = graded(self.centre[0] - _HALF - self.left, cell, _FAR["left"] * cell)
        right = graded(self.right - self.centre[0] - _HALF, cell, _FAR["right"] * cell)
        return [(count, 1 / growth), (self.side, 1.0), right]

    @property
    def rows(self) -> list[tuple[int, float]]:
        """As `columns`: below the square, across it, above it."""
        cell = 2 * _HALF / self.side
        count, growth = graded(self.centre[1] - _HALF, cell, _FAR["wall"] * cell)
        top = graded(self.height - self.centre[1] - _HALF, cell, _FAR["wall"] * cell)
        return [(count, 1 / growth), (self.side, 1.0), top]

    @property
    def ring(self) -> tuple[int, float]:
        """As one entry of `columns`: from the cylinder to the square."""
        cell = 2 * _HALF / self.side
        return graded(_HALF * (1 + sqrt(2)) / 2 - 0.5, _THIN * cell, cell)

    @property
    def corners(self) -> list[tuple[float, float]]:
        """16 corners of a grid of 4 x 4, row by row, and 4 on the circle, counter-clockwise from the lower left."""
        (x, y), half = self.centre, sqrt(1 / 8)
        grid = product((0.0, y - _HALF, y + _HALF, self.height), (self.left, x - _HALF, x + _HALF, self.right))
        circle = [(x + half * i, y + half * j) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        return [(x, y) for y, x in grid] + circle

    @property
    def blocks(self) -> list[tuple[tuple[int, ...], tuple[int, float], tuple[int, float]]]:
        """Corners of each block, counter-clockwise, and number and ratio of cells along its first and second side."""
        blocks = []
        for row, column in product(range(3), range(3)):
            if (row, column) != (1, 1):
                low = 4 * row + column
                blocks.append(((low, low + 1, low + 5, low + 4), self.columns[column], self.rows[row]))
        square = (5, 6, 10, 9)
        for i in range(4):
            j = (i + 1) % 4
            blocks.append(((16 + i, square[i], square[j], 16 + j), self.ring, (self.side, 1.0)))
        return blocks


def graded(length: float, first: float, last: float) -> tuple[int, float]:
    """Returns the number of cells that fill a length, and the length of the last cell in lengths of the first.

    The number is rounded, so the first and last cells have the given lengths only approximately.
    """
    ratio = (length - first) / (length - last)  # of neighbouring cells, from the sum of a geometric series
    return max(1, round(1 + log(last / first) / log(ratio))), last / first


def write_case(
    case: Path, channel: Channel, reynolds: float, turn: float, begin: float, start: float, steps: int, interval: float
) -> None:
    """Writes all files of a case, with the fields of time 0.

    Args:
        case: folder of the case.
        channel: geometry of the channel.
        reynolds: Reynolds number of the flow.
        turn: greatest speed of the surface of the rotating cylinder, positive counter-clockwise.
        begin: time at which the rotation begins.
        start: time of the first saved step, a multiple of the interval.
        steps: number of saved steps.
        interval: time between two saved steps.
    """
    turns = [(begin + _TURN * i / 50, 2 * turn * sin(pi * i / 50) ** 2) for i in range(51)]
    cylinder = {
        "x": channel.centre[0],
        "y": channel.centre[1],
        "omega": " ".join(f"({time:.6f} {omega:.6f})" for time, omega in turns),
    }
    files = dict(_CONSTANT)
    files["constant/transportProperties"] = f"nu {1 / reynolds:.10g};"
    each = ceil(interval * channel.around / _STEP)
    files["system/controlDict"] = f"""
application icoFoam;
startFrom startTime; startTime 0; stopAt endTime; endTime {start + (steps - 1) * interval:.10g};
deltaT {interval / each:.15g};
writeControl timeStep; writeInterval 1000000000; writeFormat ascii; writePrecision 7; timePrecision 8;
functions
{{
    saved
    {{
        type writeObjects; libs (utilityFunctionObjects); objects (U p); writeOption anyWrite;
        timeStart {start - interval / 2:.10g}; writeControl timeStep; writeInterval {each};
    }}
}}"""
    files["system/blockMeshDict"] = _mesh(channel)
    for name, (_, head, patches) in _FIELDS.items():
        walls = "\n".join(f"    {patch} {{ {kind.format(**cylinder)} }}" for patch, kind in patches.items())
        files[f"0/{name}"] = f"dimensions {head};\nboundaryField\n{{\n{walls}\n    sides {{ type empty; }}\n}}"
    for name, text in files.items():
        path = case / name
        kind = _FIELDS[path.name][0] if name.startswith("0/") else "dictionary"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f"FoamFile {{ version 2.0; format ascii; class {kind}; object {path.name}; }}\n"
        path.write_text(head + text.lstrip() + "\n")


def _mesh(channel: Channel) -> str:
    count = len(channel.corners)

    def listed(parts: list[str]) -> str:
        return "\n".join(f"    {part}" for part in parts)

    def side(*edges: tuple[int, int]) -> str:
        return " ".join(f"({i} {j} {j + count} {i + count})" for i, j in edges)

    vertices = [f"({x:.10g} {y:.10g} {z})" for z in (0, 0.1) for x, y in channel.corners]
    blocks, flat = [], []
    for corners, (columns, across), (rows, along) in channel.blocks:
        low, high = (" ".join(str(corner + shift) for corner in corners) for shift in (0, count))
        blocks.append(f"hex ({low} {high}) ({columns} {rows} 1) simpleGrading ({across:.8g} {along:.8g} 1)")
        flat += [f"({low})", f"({high})"]
    arcs = []
    for z, shift in ((0, 0), (0.1, count)):
        for i, (across, up) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
            x, y = channel.centre[0] + across / 2, channel.centre[1] + up / 2
            arcs.append(f"arc {16 + i + shift} {16 + (i + 1) % 4 + shift} ({x:.10g} {y:.10g} {z})")
    return f"""
vertices
(
{listed(vertices)}
);
blocks
(
{listed(blocks)}
);
edges
(
{listed(arcs)}
);
boundary
(
    inlet {{ type patch; faces ({side((0, 4), (4, 8), (8, 12))}); }}
    outlet {{ type patch; faces ({side((3, 7), (7, 11), (11, 15))}); }}
    walls {{ type patch; faces ({side((0, 1), (1, 2), (2, 3), (12, 13), (13, 14), (14, 15))}); }}
    cylinder {{ type wall; faces ({side((16, 17), (17, 18), (18, 19), (19, 16))}); }}
    sides {{ type empty; faces ({" ".join(flat)}); }}
);"""
