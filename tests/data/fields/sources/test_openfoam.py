"""Cases of OpenFOAM: cells of any shape, in any plane, read without OpenFOAM."""

from pathlib import Path

import numpy as np
import pytest

from adlx.data.fields.sources import openfoam
from adlx.data.fields.sources.dambreak_case import water_share, write_case
from adlx.data.fields.sources.openfoam import openfoam_environment, read_case, run_program
from adlx.data.fields.sources.well import read_well, write_well
from adlx.errors import RunFailed, UserError

CORNERS = np.array([[0, 0], [2, 0], [4, 0], [0, 1], [2, 1], [4, 1], [0, 3]], float)
CELLS = [[0, 1, 4, 3], [1, 2, 5], [1, 5, 4], [3, 4, 6]]  # a rectangle and three triangles
CENTRES = [[1, 0.5], [10 / 3, 1 / 3], [8 / 3, 2 / 3], [2 / 3, 5 / 3]]


def header(kind: str, name: str, form: str = "ascii") -> str:
    return (
        "/*---*- C++ -*---*\\\n\\*---------*/\nFoamFile\n{\n"
        f"    version 2.0;\n    format {form};\n    class {kind};\n    object {name};\n"
        "}\n// * * * (1 2) * * * //\n\n"
    )


def write(path: Path, kind: str, text: str, form: str = "ascii") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header(kind, path.name, form) + text + "\n\n// *** //\n")


def listed(rows) -> str:
    return f"{len(rows)}\n(\n" + "\n".join(rows) + "\n)"


def numbers(row) -> str:
    return "(" + " ".join(f"{value:g}" for value in row) + ")"


def make_mesh(case: Path, axis: int = 2, layers: int = 1) -> None:
    """Writes a mesh of the cells above, with `layers` layers along an axis."""
    levels = [np.insert(CORNERS, axis, 0.1 * level, 1) for level in range(layers + 1)]
    faces, owner = [], []
    for layer in range(layers):
        for cell, corners in enumerate(CELLS):
            low = [corner + layer * len(CORNERS) for corner in corners]
            high = [corner + len(CORNERS) for corner in low]
            sides = [[a, b, b + len(CORNERS), a + len(CORNERS)] for a, b in zip(low, low[1:] + low[:1], strict=True)]
            faces += [*sides, high[::-1]] + ([low] if layer == 0 else [])
            owner += [cell + layer * len(CELLS)] * (len(sides) + 1 + (layer == 0))
    mesh = case / "constant" / "polyMesh"
    write(mesh / "points", "vectorField", listed([numbers(point) for level in levels for point in level]))
    write(mesh / "faces", "faceList", listed([f"{len(face)}{numbers(face)}" for face in faces]))
    write(mesh / "owner", "labelList", listed([str(cell) for cell in owner]))


def scalar(values) -> str:
    body = listed([f"{value:g}" for value in values])
    return f"dimensions [0 2 -2 0 0 0 0];\ninternalField   nonuniform List<scalar> \n{body}\n;\nboundaryField {{ w {{ value nonuniform 1(9); }} }}"  # noqa: E501


def vector(values) -> str:
    return f"internalField nonuniform List<vector> {listed([numbers(value) for value in values])};"


@pytest.fixture
def case(tmp_path):
    """A case with times 0, 2 and 10; time 0 has no p, and at time 2 U is uniform."""
    make_mesh(tmp_path)
    write(tmp_path / "0" / "U", "volVectorField", "internalField uniform (0 0 0);")
    write(tmp_path / "2" / "U", "volVectorField", "internalField   uniform (1 -2 0);\nboundaryField {}")
    write(tmp_path / "2" / "p", "volScalarField", scalar([1, 2, 3, 4e-3]))
    write(tmp_path / "10" / "U", "volVectorField", vector([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]))
    write(tmp_path / "10" / "p", "volScalarField", scalar([5, 6, 7, 8]))
    return tmp_path


def test_coordinates_are_the_centroids_of_the_cells(case):
    data = read_case(case)
    np.testing.assert_allclose(data.coordinates, CENTRES)
    assert data.grid is None


def test_only_times_with_all_fields_are_read(case):
    data = read_case(case)
    assert (data.fields, data.groups, data.source) == (("u", "v", "p"), ((0, 1), (2,)), "openfoam")
    assert data.detail == f"{case.name}, 2 steps of 4 cells"
    assert data.time.tolist() == [2, 10]
    np.testing.assert_array_equal(
        data.frames.read(0, 0, 2),
        np.float32([
            [[1, -2, 1], [1, -2, 2], [1, -2, 3], [1, -2, 4e-3]],
            [[1, 2, 5], [4, 5, 6], [7, 8, 7], [10, 11, 8]],
        ]),
    )  # fmt: skip


def test_only_the_given_fields_are_read(case):
    data = read_case(case, ["p"])
    assert (data.fields, data.groups) == (("p",), ((0,),))
    data = read_case(case, ["U"])
    assert data.time.tolist() == [0, 2, 10]
    write(case / "10" / "gradient", "volVectorField", "internalField uniform (1 2 3);")
    assert read_case(case, ["gradient", "p"]).fields == ("gradient_x", "gradient_y", "p")


@pytest.mark.parametrize(("axis", "plane"), [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])])
def test_the_plane_is_perpendicular_to_the_axis_that_is_one_cell_thick(case, axis, plane):
    make_mesh(case, axis)
    data = read_case(case, ["U"])
    np.testing.assert_allclose(data.coordinates, CENTRES)
    np.testing.assert_array_equal(data.frames.read(0, 2, 3)[0, 1], np.float32([4, 5, 6])[plane])


def test_a_case_is_written_in_the_layout_of_the_well(case, tmp_path):
    data = read_case(case)
    write_well(tmp_path / "set" / "one.hdf5", data, "case")
    again = read_well(tmp_path / "set")
    assert (again.fields, again.groups, again.grid) == (data.fields, data.groups, None)
    np.testing.assert_allclose(again.coordinates, CENTRES, rtol=1e-6)
    np.testing.assert_array_equal(again.frames.read(0, 0, 2), data.frames.read(0, 0, 2))


def damage(case: Path, what: str) -> None:
    if what == "binary":
        write(case / "10" / "p", "volScalarField", "internalField nonuniform List<scalar> 4(0000);", "binary")
    elif what == "thick":
        make_mesh(case, layers=2)
    elif what == "no mesh":
        (case / "constant" / "polyMesh" / "faces").unlink()
    elif what == "surface":
        write(case / "10" / "p", "surfaceScalarField", scalar([1, 2]))
    elif what == "short":
        write(case / "10" / "p", "volScalarField", scalar([5, 6, 7]))
    elif what == "moving":
        write(case / "10" / "polyMesh" / "points", "vectorField", "0()")
    elif what == "code":
        write(case / "10" / "p", "volScalarField", "internalField #calc 1;")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("binary", "10/p is binary: set writeFormat ascii"),
        ("thick", "not one cell thick"),
        ("no mesh", "polyMesh/faces: no such file or directory; is it a case"),
        ("surface", "10/p is a surfaceScalarField; give one of volScalarField, volVectorField"),
        ("short", "10/p has 3 values for 4 cells"),
        ("moving", "its mesh is another one at time 10"),
        ("code", "10/p has no internalField that can be read"),
    ],
)
def test_unreadable_files_are_refused(case, what, message):
    damage(case, what)
    with pytest.raises(UserError, match=message):
        read_case(case)


def test_missing_fields_are_named(case):
    with pytest.raises(UserError, match="no time folder holds U, T"):
        read_case(case, ["U", "T"])


def test_without_openfoam_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(openfoam, "_INSTALL_FOLDERS", (f"{tmp_path}/openfoam*",))
    monkeypatch.delenv("WM_PROJECT_DIR", raising=False)
    with pytest.raises(
        UserError, match="interIsoFoam of OpenFOAM is not installed: apt-get install openfoam"
    ) as caught:
        openfoam_environment("interIsoFoam")
    assert "\n" not in str(caught.value)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Installs a script in place of a solver, in a version of OpenFOAM of its own."""
    folder = tmp_path / "openfoam2312"
    (folder / "etc").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "etc" / "bashrc").write_text(f'export PATH="{folder}/bin:$PATH" WM_PROJECT_DIR="{folder}"\n')
    monkeypatch.setattr(openfoam, "_INSTALL_FOLDERS", (f"{tmp_path}/openfoam*",))
    monkeypatch.delenv("WM_PROJECT_DIR", raising=False)

    def put(script: str) -> None:
        program = folder / "bin" / "someFoam"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return put


def test_a_program_runs_in_the_environment_that_openfoam_sets(stand_in, tmp_path):
    stand_in('echo "in $WM_PROJECT_DIR"; touch done')
    run_program(tmp_path, "someFoam", openfoam_environment("someFoam"))
    assert (tmp_path / "done").is_file()
    assert (tmp_path / "log.someFoam").read_text() == f"in {tmp_path}/openfoam2312\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            'printf -- "Time = 1\\n\\n--> FOAM FATAL ERROR:\\n  no such thing\\n"; exit 1',
            "--> FOAM FATAL ERROR: no such",
        ),
        ("echo Time = 3; exit 8", "stopped with 8: Time = 3"),
    ],
)
def test_a_failing_program_is_reported_with_its_output(stand_in, tmp_path, script, message):
    stand_in(script)
    with pytest.raises(RunFailed, match=message):
        run_program(tmp_path, "someFoam", openfoam_environment("someFoam"))


def has_openfoam() -> bool:
    try:
        return bool(openfoam_environment("blockMesh"))
    except UserError:
        return False


@pytest.mark.skipif(not has_openfoam(), reason="OpenFOAM's blockMesh is not installed")
def test_cells_of_a_mesh_of_blockmesh_are_ordered_row_by_row(tmp_path):
    write_case(tmp_path, 8, (0.3, 0.6), 2, 0.1)
    run_program(tmp_path, "blockMesh", openfoam_environment("blockMesh"))
    data = read_case(tmp_path, ["U", "alpha.water"])
    middle = (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(data.coordinates, np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 2))
    assert data.fields == ("u", "v", "alpha.water")
    np.testing.assert_allclose(data.frames.read(0, 0, 1)[0, :, 2].reshape(8, 8), water_share(8, (0.3, 0.6)), rtol=1e-6)
