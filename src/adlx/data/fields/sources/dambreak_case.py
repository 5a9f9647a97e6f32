"""The files of a case of OpenFOAM's interIsoFoam: a column of water that collapses in a closed box.

The box is the unit square; gravity and the density of water are 1. Viscosities, the density of air and the surface
tension are those of a box 0.5 m wide, whose waves are 2.2 m/s fast. Walls have no friction, because a mesh of this size
does not resolve the boundary layer.
"""

from pathlib import Path

import numpy as np

_WATER, _AIR = 9.0e-7, 1.36e-5  # kinematic viscosities: 1.0e-6 and 1.5e-5 m2/s
_AIR_DENSITY = 1.2e-3
_TENSION = 2.9e-5  # 0.072 N/m

_CONSTANT = {
    "constant/g": "dimensions [0 1 -2 0 0 0 0];\nvalue (0 -1 0);",
    "constant/turbulenceProperties": "simulationType laminar;",
    "constant/transportProperties": f"""
phases (water air);
water {{ transportModel Newtonian; nu {_WATER}; rho 1; }}
air {{ transportModel Newtonian; nu {_AIR}; rho {_AIR_DENSITY}; }}
sigma {_TENSION};""",
    "system/fvSchemes": """
ddtSchemes { default Euler; }
gradSchemes { default Gauss linear; }
divSchemes
{
    default none;
    div(rhoPhi,U) Gauss linearUpwind grad(U);
    div(((rho*nuEff)*dev2(T(grad(U))))) Gauss linear;
}
laplacianSchemes { default Gauss linear corrected; }
interpolationSchemes { default linear; }
snGradSchemes { default corrected; }""",
    "system/fvSolution": """
solvers
{
    "alpha.water.*"
    {
        isoFaceTol 1e-8; surfCellTol 1e-8; nAlphaBounds 3; snapTol 1e-12; clip true;
        nAlphaSubCycles 1; nAlphaCorr 1; cAlpha 1;
    }
    "pcorr.*" { solver PCG; preconditioner DIC; tolerance 1e-9; relTol 0; }
    p_rgh { solver PCG; preconditioner DIC; tolerance 1e-8; relTol 0.01; }
    p_rghFinal { $p_rgh; relTol 0; }
    "U.*" { solver smoothSolver; smoother symGaussSeidel; tolerance 1e-8; relTol 0; }
}
PIMPLE
{
    momentumPredictor no; nOuterCorrectors 1; nCorrectors 3; nNonOrthogonalCorrectors 0;
    pRefCell 0; pRefValue 0;
}""",
}
_FIELDS = {
    "U": ("volVectorField", "[0 1 -1 0 0 0 0]", "slip"),
    "p_rgh": ("volScalarField", "[1 -1 -2 0 0 0 0]", "fixedFluxPressure; value uniform 0"),
    "alpha.water": ("volScalarField", "[0 0 0 0 0 0 0]", "zeroGradient"),
}


def write_case(case: Path, size: int, column: tuple[float, float], steps: int, interval: float) -> None:
    """Writes all files of a case.

    Args:
        case: folder of the case.
        size: cells along each side of the box.
        column: width and height of the column of water.
        steps: number of saved steps.
        interval: time between two saved steps.
    """
    files = dict(_CONSTANT)
    files["system/controlDict"] = f"""
application interIsoFoam;
startFrom startTime; startTime 0; stopAt endTime; endTime {steps * interval:.10g};
deltaT {interval / 50:.10g}; adjustTimeStep yes; maxCo 0.4; maxAlphaCo 0.4; maxDeltaT {interval:.10g};
writeControl adjustable; writeInterval {interval:.10g}; purgeWrite 0;
writeFormat ascii; writePrecision 7; writeCompression off; timePrecision 8; runTimeModifiable no;"""
    files["system/blockMeshDict"] = f"""
vertices ((0 0 0) (1 0 0) (1 1 0) (0 1 0) (0 0 0.1) (1 0 0.1) (1 1 0.1) (0 1 0.1));
blocks (hex (0 1 2 3 4 5 6 7) ({size} {size} 1) simpleGrading (1 1 1));
boundary
(
    walls {{ type wall; faces ((0 4 7 3) (2 6 5 1) (1 5 4 0) (3 7 6 2)); }}
    sides {{ type empty; faces ((0 3 2 1) (4 5 6 7)); }}
);"""
    start = {"U": "uniform (0 0 0)", "p_rgh": "uniform 0", "alpha.water": _listed(water_share(size, column))}
    for name, (_, dimensions, wall) in _FIELDS.items():
        files[f"0/{name}"] = f"""
dimensions {dimensions};
internalField {start[name]};
boundaryField {{ walls {{ type {wall}; }} sides {{ type empty; }} }}"""
    for name, text in files.items():
        kind = _FIELDS.get(name[2:], ("dictionary",))[0] if name.startswith("0/") else "dictionary"
        kind = "uniformDimensionedVectorField" if name == "constant/g" else kind
        (path := case / name).parent.mkdir(parents=True, exist_ok=True)
        head = f"FoamFile {{ version 2.0; format ascii; class {kind}; object {path.name}; }}"
        path.write_text(f"{head}\n{text.lstrip()}\n")


def water_share(size: int, column: tuple[float, float]) -> np.ndarray:
    """Returns (size, size) the share of water in each cell, row by row, for a column at the left wall."""
    across, up = (np.clip(length * size - np.arange(size), 0, 1) for length in column)
    return up[:, None] * across


def _listed(values: np.ndarray) -> str:
    return f"nonuniform List<scalar> {values.size}\n(\n{' '.join(f'{value:.9g}' for value in values.ravel())}\n)"
