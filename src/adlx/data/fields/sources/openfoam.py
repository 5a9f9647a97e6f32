"""Runs programs of OpenFOAM (https://openfoam.com) and reads two-dimensional cases.

A case is a folder: constant/polyMesh holds the mesh, and each saved time has a folder, named after the time, which
holds the fields. The files are read as text (`writeFormat ascii`), which needs no OpenFOAM.
"""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.errors import RunFailed, UserError

_INSTALL_FOLDERS = ("/usr/share/openfoam", "/usr/lib/openfoam/openfoam*", "/opt/openfoam*")
_COMPONENTS = {"volScalarField": 1, "volVectorField": 3}


def openfoam_environment(program: str) -> dict[str, str]:
    """Returns the environment variables with which a program of OpenFOAM runs.

    Raises:
        UserError: the program is not installed.
    """
    folders = [folder for pattern in _INSTALL_FOLDERS for folder in sorted(glob.glob(pattern), reverse=True)]
    for folder in filter(None, (os.environ.get("WM_PROJECT_DIR"), *folders)):
        if (settings := Path(folder, "etc", "bashrc")).is_file():
            output = subprocess.run(
                ["bash", "-c", '. "$0" > /dev/null 2>&1; env -0', str(settings)], capture_output=True, text=True
            ).stdout
            variables = dict(line.split("=", 1) for line in output.split("\0") if "=" in line)
            if shutil.which(program, path=variables.get("PATH", "")):
                return variables
    raise UserError(
        f"{program} of OpenFOAM is not installed: apt-get install openfoam, or a version from openfoam.com "
        "(1912 or later) whose etc/bashrc was sourced"
    )


def run_program(case: Path, program: str, environment: dict[str, str]) -> None:
    """Runs a program on a case, in one process; writes its output to `log.PROGRAM` in the folder of the case.

    Raises:
        RunFailed: the program fails; the message holds its last line.
    """
    log = case / f"log.{program}"
    with open(log, "w") as file:
        done = subprocess.run([program], cwd=case, env=environment, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [i for i, line in enumerate(lines) if "FATAL" in line]
        reason = lines[errors[0] : errors[0] + 3] if errors else lines[-1:]
        raise RunFailed(f"{program} stopped with {done.returncode}: {' '.join(reason)[:300]}")


def read_case(path: str | Path, fields: Sequence[str] = ("U", "p")) -> Trajectories:
    """Reads one trajectory on cells of any shape: all times at which all the fields were saved.

    `write_well` writes it to a file; a folder of such files on one mesh is a data set for `data=well`.

    Args:
        path: folder of a case whose mesh is one cell thick along x, y or z.
        fields: names of scalar and vector fields at cells. Of a vector, the two components in the plane are read; those
            of U are called u and v, those of another vector A are called A_x and A_y.

    Raises:
        UserError: a file is missing or binary, the case has three dimensions, or the mesh moves.
    """
    path = Path(path).expanduser()
    plane, centres = cell_centres(path)
    folders = time_folders(path, fields)
    if not folders:
        raise UserError(
            f"{path}: no time folder holds {', '.join(fields)}; check which fields were saved, and run reconstructPar "
            "if the case is decomposed"
        )
    if moved := [folder for folder in folders if (folder / "polyMesh" / "points").is_file()]:
        raise UserError(f"{path}: its mesh is another one at time {moved[0].name}; give a case with a fixed mesh")
    names, groups, frames = [], [], []
    for field in fields:
        values = np.stack([read_field(folder / field, len(centres)) for folder in folders])
        parts = values[..., plane] if values.shape[-1] == 3 else values
        groups.append(tuple(range(len(names), len(names) + parts.shape[-1])))
        names += _names(field, parts.shape[-1])
        frames.append(parts)
    return Trajectories(
        frames=InMemory(np.concatenate(frames, -1).astype(np.float32)[None]),
        lengths=np.array([len(folders)]),
        fields=tuple(names),
        groups=tuple(groups),
        grid=None,
        coordinates=centres,
        parameters=np.zeros((1, 0), np.float32),
        parameter_names=(),
        mask=None,
        time=np.array([float(folder.name) for folder in folders]),
        source="openfoam",
        detail=f"{path.resolve().name}, {len(folders)} steps of {len(centres):,} cells",
    )


def _names(field: str, components: int) -> list[str]:
    if components == 1:
        return [field]
    return ["u", "v"] if field == "U" else [f"{field}_x", f"{field}_y"]


def time_folders(case: Path, fields: Sequence[str]) -> list[Path]:
    """Lists the folders of the times at which all the fields were saved, in order of time."""
    candidates = [(folder, _number(folder.name)) for folder in case.iterdir() if folder.is_dir()]
    saved = [
        (time, folder)
        for folder, time in candidates
        if time is not None and all((folder / field).is_file() for field in fields)
    ]
    return [folder for _, folder in sorted(saved)]


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def read_field(path: Path, cells: int) -> np.ndarray:
    """Reads a field at cells, (cells, 1 or 3) float64, without its boundary."""
    kind, text = _read(path)
    if kind not in _COMPONENTS:
        raise UserError(f"{path} is a {kind or 'file without a class'}; give one of {', '.join(_COMPONENTS)}")
    match = re.search(
        r"\binternalField\s+(?:uniform\s+(?P<one>[^;]+);|nonuniform[^(]*\((?P<all>.*?)\)\s*;)", text, re.S
    )
    if match is None:
        raise UserError(f"{path} has no internalField that can be read")
    values = _numbers(match["one"] or match["all"]).reshape(-1, _COMPONENTS[kind])
    if len(values) != (expected := 1 if match["one"] else cells):
        raise UserError(f"{path} has {len(values):,} values for {expected:,} cells")
    return np.broadcast_to(values, (cells, values.shape[1]))


def cell_centres(case: Path) -> tuple[list[int], np.ndarray]:
    """Returns the two axes of the plane, and (cells, 2) the centroid of each cell in this plane.

    In a mesh one cell thick, each cell has one face with its shape on each side of the plane.
    """
    mesh = case / "constant" / "polyMesh"
    points = _numbers(_list(mesh / "points")).reshape(-1, 3)
    owner = _numbers(_list(mesh / "owner")).astype(int)
    faces = [np.array(face.split(), int) for face in re.findall(r"\d+\s*\(([\d\s]*)\)", _list(mesh / "faces"))]
    low, high = points.min(0), points.max(0)
    near = 1e-6 * (high - low).max()
    thin = [
        axis
        for axis in range(3)
        if ((points[:, axis] - low[axis] < near) | (high[axis] - points[:, axis] < near)).all()
    ]
    cells = int(owner.max()) + 1
    for axis in thin:
        plane = [other for other in range(3) if other != axis]
        side = np.flatnonzero([(points[face, axis] - low[axis] < near).all() for face in faces])
        if len(side) == cells == len(set(owner[side])):
            centres = np.empty((cells, 2))
            for face in side:
                centres[owner[face]] = _centroid(points[faces[face]][:, plane])
            return plane, centres
    raise UserError(f"{case}: its mesh is not one cell thick along x, y or z, as a two-dimensional one is")


def _centroid(corners: np.ndarray) -> np.ndarray:
    """Returns the centroid (2,) of a polygon (N, 2)."""
    middle = corners.mean(0)
    here, there = corners - middle, np.roll(corners, -1, 0) - middle
    areas = here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0]
    return middle + (areas[:, None] * (here + there)).sum(0) / (3 * areas.sum())


def _read(path: Path) -> tuple[str, str]:
    """Reads the class of a file from its header, and the text after the header, without comments."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or str(error)).lower()}; is it a case of OpenFOAM?") from error
    head, _, text = content.partition(b"}")
    if re.search(rb"\bformat\s+binary\s*;", head):
        raise UserError(f"{path} is binary: set writeFormat ascii in system/controlDict and run foamFormatConvert")
    kind = re.search(r"\bclass\s+(\w+)\s*;", head.decode(errors="replace"))
    return kind[1] if kind else "", re.sub(r"//[^\n]*", "", text.decode(errors="replace"))


def _list(path: Path) -> str:
    """Reads the text between the outer brackets of a file with one list."""
    match = re.search(r"\d+\s*\((.*)\)", _read(path)[1], re.S)
    if match is None:
        raise UserError(f"{path} holds no list")
    return match[1]


def _numbers(text: str) -> np.ndarray:
    return np.array(text.replace("(", " ").replace(")", " ").split(), np.float64)
