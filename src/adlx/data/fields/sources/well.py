"""Reads fields in the HDF5 layout of The Well window by window, and writes files that The Well's loader can read.

The Well (Ohana et al., 2024, "The Well: a large-scale collection of diverse physics simulations for machine learning",
https://github.com/PolymathicAI/the_well) keeps a data set as files in data/train, data/valid and data/test:

    @dataset_name, @grid_type, @n_spatial_dims, @n_trajectories, @simulation_parameters
    dimensions/            @spatial_dims = [x, y];  time (T), x (X), y (Y)
    boundary_conditions/   one group per boundary: @associated_dims, @bc_type, mask
    scalars/               @field_names;  numbers, one per trajectory (N) or one for all
    t0_fields/             @field_names;  scalar fields (N, T, X, Y)
    t1_fields/             @field_names;  vector fields (N, T, X, Y, 2)
    t2_fields/             @field_names;  tensor fields (N, T, X, Y, 2, 2), which are not read here

@sample_varying, @time_varying and @dim_varying say which axes a data set has. In adlx, cells are ordered row by row, y
first, so the axes of space are swapped when a file is read or written. A scalar field is a group of its own; the
components of a vector field, such as `velocity_x` and `velocity_y`, are one group. A constant field `mask` is 1 inside
bodies.

Files that adlx writes also have @adlx_fields and @adlx_groups, so that u, v, p keep their names. They may hold cells
without a grid: @grid_type `unstructured`, fields (N, T, cells), x and y of each cell.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from adlx.atomic import replacing
from adlx.data.fields.sources.trajectories import Trajectories
from adlx.data.fields.sources.well_contents import UNSTRUCTURED, contents_of, locations_of, words
from adlx.data.fields.sources.well_frames import WellFrames
from adlx.errors import UserError

log = logging.getLogger("adlx")

_PARTS = ("train", "valid", "test")


def read_well(path: str | Path) -> Trajectories:
    """Reads the trajectories of one file, or of a folder of files.

    Args:
        path: a file; a folder with `train`, `valid` and `test`, in `data` or not, which are the parts; or a folder of
            files without parts.

    Raises:
        UserError: there is no file, a file has another layout or three dimensions, or files have different fields.
    """
    path = Path(path).expanduser()
    files, parts = _files(path)
    contents = [contents_of(file) for file in files]
    first = contents[0]
    for file, other in zip(files, contents, strict=True):
        for what in ("fields", "locations", "shape"):
            if getattr(other, what) != getattr(first, what):
                raise UserError(
                    f"{file.name} and {files[0].name} do not go together: their {what} are {getattr(other, what)} and "
                    f"{getattr(first, what)}; keep files of one kind in a folder"
                )
    names = tuple(name for name in first.parameters if all(name in each.parameters for each in contents))
    parameters = [np.array([each.parameters[name] for name in names]).reshape(-1, each.count).T for each in contents]
    longest = max(contents, key=lambda each: each.steps)
    masks = [np.broadcast_to(each.mask, (each.count, each.mask.shape[1])) for each in contents if each.mask is not None]
    mask = np.concatenate(masks) if len(masks) == len(contents) else None
    count = sum(each.count for each in contents)
    return Trajectories(
        frames=WellFrames(
            [(file.resolve(), i) for file, each in zip(files, contents, strict=True) for i in range(each.count)],
            first.fields,
            first.locations,
            first.swapped,
            first.shape,
            mask,
        ),
        lengths=np.repeat([each.steps for each in contents], [each.count for each in contents]),
        fields=first.fields,
        groups=first.groups,
        grid=first.grid,
        coordinates=first.coordinates,
        parameters=np.concatenate(parameters).astype(np.float32),
        parameter_names=names,
        mask=mask,
        time=longest.time,
        source="file",
        detail=f"{path.resolve().name}, {count} {'trajectory' if count == 1 else 'trajectories'}",
        parts=None if parts is None else np.repeat(parts, [each.count for each in contents]).astype(np.int8),
    )


def _files(path: Path) -> tuple[list[Path], list[int] | None]:
    """Lists the files, and the part of each; None if there are no parts."""
    if path.is_file():
        return [path], None
    for folder in (path / "data", path):
        parts = [_in_folder(folder / part) for part in _PARTS]
        if all(parts):
            return [file for part in parts for file in part], [i for i, part in enumerate(parts) for _ in part]
        if any(parts):
            log.info("well: %s lacks one of %s; the parts are drawn from all files", folder, ", ".join(_PARTS))
            return [file for part in parts for file in part], None
    files = _in_folder(path)
    if not files:
        raise UserError(f"{path}: no .hdf5 file there, nor in data/train; give a file or folder of The Well's layout")
    return files, None


def _in_folder(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in (".hdf5", ".h5")) if folder.is_dir() else []


def write_well(
    path: str | Path,
    trajectories: Trajectories,
    name: str,
    boundaries: tuple[str, str] = ("OPEN", "OPEN"),
    only: Sequence[int] | None = None,
    packed: bool = False,
) -> None:
    """Writes one file, trajectory by trajectory; the file is written whole or not at all.

    Args:
        path: file to write; The Well's loader looks for `data/train/*.hdf5` and so on.
        trajectories: trajectories of one length.
        name: name of the data set.
        boundaries: types of the boundaries in x and in y: OPEN, WALL or PERIODIC.
        only: indices of the trajectories to write, such as those of one part; None: all.
        packed: whether fields are compressed float16.

    Raises:
        UserError: the trajectories have different lengths.
    """
    numbers = range(len(trajectories)) if only is None else only
    lengths = {int(trajectories.lengths[i]) for i in numbers}
    if len(lengths) != 1:
        raise UserError(
            f"a file of The Well holds trajectories of one length, not {sorted(lengths)}; write one for each"
        )
    columns: dict[tuple[str, str], list[int]] = {}
    for column, (group, dataset, _) in enumerate(locations_of(trajectories.fields, trajectories.groups)):
        columns.setdefault((group, dataset), []).append(column)
    with replacing(path) as complete, h5py.File(complete.name, "w") as hdf5:
        file: Any = hdf5
        _write_head(file, trajectories, list(numbers), name, boundaries)
        for group, dataset in columns:
            shape = (len(numbers), *lengths, *_space(trajectories), *([2] if group == "t1_fields" else []))
            storage = _packing(shape, group == "t1_fields") if packed else {"dtype": np.float32}
            file[group].create_dataset(dataset, shape, **storage)
            _describe(file, group, dataset)
        for to, number in enumerate(numbers):
            frames = trajectories.frames.read(number, 0, int(trajectories.lengths[number]))
            for (group, dataset), parts in columns.items():
                values = _from_cells(frames[..., parts], trajectories.grid)
                file[group][dataset][to] = values if group == "t1_fields" else values[..., 0]


def _packing(shape: tuple[int, ...], vector: bool) -> dict[str, Any]:
    """Storage of compressed fields: chunks of 16 steps of one component compress best and are as long as a window."""
    block = (1, min(16, shape[1]), *shape[2:])
    return {
        "dtype": np.float16,
        "chunks": (*block[:-1], 1) if vector else block,
        "compression": 9,
        "shuffle": True,
    }


def _space(trajectories: Trajectories) -> tuple[int, ...]:
    return trajectories.grid[::-1] if trajectories.grid else (len(trajectories.coordinates),)


def _from_cells(values: np.ndarray, grid: tuple[int, int] | None) -> np.ndarray:
    """Reshapes (N, cells, ...) to (N, X, Y, ...); without a grid returns them unchanged."""
    return values if grid is None else values.reshape(len(values), *grid, *values.shape[2:]).swapaxes(1, 2)


def _write_head(file: Any, data: Trajectories, numbers: list[int], name: str, boundaries: tuple[str, str]) -> None:
    """Writes everything except the fields."""
    grid = data.grid or (0, len(data.coordinates))
    x, y = data.coordinates[: grid[1], 0], data.coordinates[:, 1]
    y = y[:: grid[1]] if data.grid else y
    time = data.time[: data.lengths[numbers[0]]]
    file.attrs.update(
        dataset_name=name,
        grid_type="cartesian" if data.grid else UNSTRUCTURED,
        n_spatial_dims=2,
        n_trajectories=len(numbers),
        simulation_parameters=_texts(()),
        adlx_fields=_texts(data.fields),
        adlx_groups=_texts(" ".join(map(str, group)) for group in data.groups),
    )
    space = file.create_group("dimensions")
    space.attrs["spatial_dims"] = _texts(("x", "y"))
    for axis, values in (("time", time), ("x", x), ("y", y)):
        space.create_dataset(axis, data=values, dtype=np.float32).attrs.update(sample_varying=False, time_varying=False)
    walls = file.create_group("boundary_conditions")
    for axis, kind, values in zip("xy", boundaries, (x, y), strict=True) if data.grid else ():
        wall = walls.create_group(f"{axis}_{kind.lower()}")
        wall.attrs.update(associated_dims=_texts((axis,)), associated_fields=_texts(()), bc_type=kind)
        wall.attrs.update(sample_varying=False, time_varying=False)
        wall["mask"] = np.isin(np.arange(len(values)), (0, len(values) - 1))
    scalars = file.create_group("scalars")
    scalars.attrs["field_names"] = _texts(data.parameter_names)
    for column, parameter in enumerate(data.parameter_names):
        scalars[parameter] = data.parameters[numbers, column].astype(np.float32)
        scalars[parameter].attrs.update(sample_varying=True, time_varying=False)
    for group in ("t0_fields", "t1_fields", "t2_fields"):
        file.create_group(group).attrs["field_names"] = _texts(())
    if data.mask is not None:
        per_trajectory = len(data.mask) > 1
        mask = _from_cells(data.mask[numbers] if per_trajectory else data.mask, data.grid).astype(np.float32)
        file["t0_fields/mask"] = mask if per_trajectory else mask[0]
        _describe(file, "t0_fields", "mask", sample_varying=per_trajectory, time_varying=False)


def _describe(file: Any, group: str, name: str, sample_varying: bool = True, time_varying: bool = True) -> None:
    """Adds a field to the list of its group, and stores which axes it has."""
    names = words(file[group].attrs["field_names"])
    file[group].attrs["field_names"] = _texts((*names, name))
    file[group][name].attrs.update(
        dim_varying=np.ones(2, bool), sample_varying=sample_varying, time_varying=time_varying
    )


def _texts(words: Iterable[str]) -> np.ndarray:
    return np.array(list(words), h5py.string_dtype())
