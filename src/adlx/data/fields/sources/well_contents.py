"""Contents of an HDF5 file of The Well's layout (`well.py`), except the values of its fields."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from adlx.data.fields.sources.well_frames import FieldLocation, flatten_cells, is_varying
from adlx.errors import UserError

log = logging.getLogger("adlx")

UNSTRUCTURED = "unstructured"  # grid_type of cells without a grid, which is an extension of The Well's layout
_NAMES = {("u", "v"): "velocity", ("p",): "pressure"}  # names of groups of fields in The Well


@dataclass(frozen=True)
class WellContents:
    """The contents of one file.

    Args:
        count: number of trajectories.
        steps: number of time steps of each.
        shape: sizes of the axes of space in the file, x first if `swapped`.
    """

    count: int
    steps: int
    time: np.ndarray
    fields: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    locations: tuple[FieldLocation, ...]
    swapped: bool
    shape: tuple[int, ...]
    grid: tuple[int, int] | None
    coordinates: np.ndarray
    mask: np.ndarray | None
    parameters: dict[str, np.ndarray]


def contents_of(path: Path) -> WellContents:
    """Reads the contents of a file.

    Raises:
        UserError: the file cannot be read, has another layout, or its sizes contradict each other.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read_contents(file, path)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read as HDF5 ({' '.join(str(error).split())[:100]})") from error
    except (KeyError, ValueError, TypeError, IndexError) as error:  # h5py names the missing part of the file
        raise UserError(f"{path} is not in the layout of The Well: {' '.join(str(error.args[0]).split())}") from error


def _read_contents(file: Any, path: Path) -> WellContents:
    if (dimensions := int(file.attrs["n_spatial_dims"])) != 2:
        raise UserError(f"{path} has fields in {dimensions} dimensions; give one of 2")
    space: Any = file["dimensions"]
    count, steps = int(file.attrs["n_trajectories"]), space["time"].shape[-1]
    if min(count, steps) < 1:
        raise UserError(
            f"{path} holds {count} trajectories of {steps} time steps: give a file with at least one of each"
        )
    axes = words(space.attrs["spatial_dims"])
    swapped = axes[0] != "y"  # the first axis points right, whatever its name, unless it is called y
    x, y = (np.asarray(space[axis], np.float64) for axis in (axes if swapped else axes[::-1]))
    x, y = (values[0] if values.ndim > 1 else values for values in (x, y))
    if file.attrs["grid_type"] == UNSTRUCTURED:
        shape, coordinates = (len(x),), np.stack([x, y], 1)
    else:
        shape = (len(x), len(y)) if swapped else (len(y), len(x))
        coordinates = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    if "adlx_fields" in file.attrs:
        fields = words(file.attrs["adlx_fields"])
        groups = tuple(tuple(int(i) for i in group.split()) for group in words(file.attrs["adlx_groups"]))
        locations = locations_of(fields, groups)
    else:
        fields, groups, locations = _read_fields(file, path)
    datasets = dict.fromkeys((group, name) for group, name, _ in locations)
    unused = {part for group, name in datasets for part in _check_field(file[group][name], count, steps, shape, path)}
    if unused:
        log.warning("well: %s: %s are not used, since the file states fewer", path.name, " and ".join(sorted(unused)))
    stored_mask: Any = file["t0_fields"].get("mask")
    mask = None
    if stored_mask is not None and not is_varying(stored_mask, "time", default=stored_mask.ndim > len(shape) + 1):
        per_trajectory = is_varying(stored_mask, "sample", default=stored_mask.ndim > len(shape))
        values = _first_rows(stored_mask, count, path) if per_trajectory else stored_mask[()][None]
        mask = flatten_cells(values, stored_mask.attrs.get("dim_varying"), shape, swapped) > 0.5
    time = np.asarray(space["time"], np.float64)
    return WellContents(
        count=count,
        steps=steps,
        time=time[0] if time.ndim > 1 else time,
        fields=fields,
        groups=groups,
        locations=locations,
        swapped=swapped,
        shape=shape,
        grid=None if len(shape) == 1 else (len(y), len(x)),
        coordinates=coordinates,
        mask=mask,
        parameters=_parameters(file, count, path),
    )


def words(attribute: Any) -> tuple[str, ...]:
    return tuple(word.decode() if isinstance(word, bytes) else str(word) for word in np.atleast_1d(attribute))


def _first_rows(data: Any, count: int, path: Path) -> np.ndarray:
    """Reads the rows of the first `count` trajectories.

    Raises:
        UserError: there are fewer.
    """
    if len(data) < count:
        raise UserError(
            f"{path}: n_trajectories is {count}, but {data.name[1:]} holds {len(data)}: correct n_trajectories"
        )
    return np.asarray(data[:count])


def _check_field(data: Any, count: int, steps: int, shape: tuple[int, ...], path: Path) -> list[str]:
    """Checks the sizes of a field, and describes its trajectories and time steps that are not used.

    Raises:
        UserError: the field has fewer trajectories or time steps, or other axes of space.
    """
    name, sizes, unused = data.name[1:], list(data.shape), []
    checks = [("n_trajectories", "trajectories", count)] if is_varying(data, "sample") else []
    for origin, what, expected in [*checks, ("dimensions/time", "time steps", steps)]:
        held = sizes.pop(0) if sizes else 0
        if held < expected:
            stated = f"{origin} is {expected}" if origin == "n_trajectories" else f"{origin} has {expected} steps"
            raise UserError(f"{path}: {stated}, but {name} holds {held} {what}: correct {origin}")
        if held > expected:
            unused.append(f"{held - expected} of {held} {what}")
    if name.startswith("t1_fields") and (components := sizes.pop() if sizes else 0) != 2:
        raise UserError(f"{path}: {name} has {components} components; a vector in 2 dimensions has 2")
    varying = data.attrs.get("dim_varying", (True,) * len(shape))
    full = [size if varies else 1 for size, varies in zip(shape, varying, strict=True)] if len(shape) == 2 else [*shape]
    if sizes not in ([*shape], full, [size for size in full if size != 1]):
        held, expected = (" x ".join(map(str, each)) or "no" for each in (sizes, shape))
        raise UserError(f"{path}: {name} has {held} cells, but the axes in dimensions have {expected}")
    return unused


def _read_fields(
    file: Any, path: Path
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...], tuple[FieldLocation, ...]]:
    """Reads names, groups and locations of the fields that change in time, scalars before vectors."""
    axes = words(file["dimensions"].attrs["spatial_dims"])
    names, groups, locations, ignored = [], [], [], []
    for group in ("t0_fields", "t1_fields", "t2_fields"):
        for name in words(file[group].attrs["field_names"]) if group in file else ():
            if group == "t2_fields" or not is_varying(file[group][name], "time"):
                ignored += [name] if name != "mask" else []
                continue
            components = (None,) if group == "t0_fields" else tuple(range(len(axes)))
            groups.append(tuple(range(len(names), len(names) + len(components))))
            names += [name if i is None else f"{name}_{axes[i]}" for i in components]
            locations += [(group, name, i) for i in components]
    if ignored:
        log.info("well: %s: left out %s, which are constant or tensors", path.name, ", ".join(ignored))
    if not names:
        raise UserError(f"{path} has no scalar or vector field that changes in time")
    return tuple(names), tuple(groups), tuple(locations)


def _parameters(file: Any, count: int, path: Path) -> dict[str, np.ndarray]:
    """Reads parameters (N,) by name: scalars that are constant in time, and numbers in @simulation_parameters."""
    parameters = {}
    for name in words(file["scalars"].attrs["field_names"]) if "scalars" in file else ():
        scalar = file["scalars"][name]
        if not is_varying(scalar, "time", default=scalar.ndim > 1):
            if is_varying(scalar, "sample", default=scalar.ndim > 0):
                parameters[name] = _first_rows(scalar, count, path).astype(np.float32).reshape(count)
            else:
                parameters[name] = np.full(count, np.asarray(scalar[()], np.float32).ravel()[0])
    for name in words(file.attrs.get("simulation_parameters", ())):
        value = np.asarray(file.attrs.get(name, "none"))
        if name not in parameters and value.size == 1 and value.dtype.kind in "fiu":
            parameters[name] = np.full(count, value.ravel()[0], np.float32)
    return parameters


def locations_of(fields: tuple[str, ...], groups: tuple[tuple[int, ...], ...]) -> tuple[FieldLocation, ...]:
    """Returns the location of each field in a new file: a pair is a vector field, other fields are scalar fields."""
    locations: dict[int, FieldLocation] = {}
    for group in groups:
        names = tuple(fields[i] for i in group)
        if len(group) == 2:
            locations |= {i: ("t1_fields", _NAMES.get(names, "_".join(names)), j) for j, i in enumerate(group)}
        else:
            locations |= {
                i: ("t0_fields", _NAMES.get((name,), name), None) for i, name in zip(group, names, strict=True)
            }
    return tuple(locations[i] for i in range(len(fields)))
