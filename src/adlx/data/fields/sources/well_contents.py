"""What an HDF5 file of The Well's layout (`well.py`) holds, without its fields."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from adlx.data.fields.sources.well_frames import Place, cells_of
from adlx.errors import UserError

log = logging.getLogger("adlx")

FREE = "unstructured"  # grid_type of cells without a grid, which The Well does not know
_NAMES = {("u", "v"): "velocity", ("p",): "pressure"}  # what groups are called in The Well


@dataclass(frozen=True)
class WellContents:
    """Args: count: of trajectories; steps: of each; shape: of the axes of space in the file, x first if `swapped`."""

    count: int
    steps: int
    time: np.ndarray
    fields: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    places: tuple[Place, ...]
    swapped: bool
    shape: tuple[int, ...]
    grid: tuple[int, int] | None
    coordinates: np.ndarray
    mask: np.ndarray | None
    parameters: dict[str, np.ndarray]


def contents_of(path: Path) -> WellContents:
    try:
        with h5py.File(path, "r") as file:
            return _read_contents(file, path)
    except OSError as error:
        raise UserError(f"{path} cannot be read as HDF5 ({' '.join(str(error).split())[:100]})") from error
    except KeyError as error:
        raise UserError(f"{path} is not in the layout of The Well: {error.args[0]}") from error


def _read_contents(file: Any, path: Path) -> WellContents:
    if (dimensions := int(file.attrs["n_spatial_dims"])) != 2:
        raise UserError(f"{path} has fields in {dimensions} dimensions; give one of 2")
    space: Any = file["dimensions"]
    count, steps = int(file.attrs["n_trajectories"]), space["time"].shape[-1]
    axes = words(space.attrs["spatial_dims"])
    swapped = axes[0] != "y"  # the first axis is the one to the right, whatever its name, unless it says y
    x, y = (np.asarray(space[axis], np.float64) for axis in (axes if swapped else axes[::-1]))
    x, y = (values[0] if values.ndim > 1 else values for values in (x, y))
    if file.attrs["grid_type"] == FREE:
        shape, coordinates = (len(x),), np.stack([x, y], 1)
    else:
        shape = (len(x), len(y)) if swapped else (len(y), len(x))
        coordinates = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    if "adlx_fields" in file.attrs:
        fields = words(file.attrs["adlx_fields"])
        groups = tuple(tuple(int(i) for i in group.split()) for group in words(file.attrs["adlx_groups"]))
        places = places_of(fields, groups)
    else:
        fields, groups, places = _standard(file, path)
    inside: Any = file["t0_fields"].get("mask")
    mask = None
    if inside is not None and not inside.attrs["time_varying"]:
        values = inside[()] if inside.attrs["sample_varying"] else inside[()][None]
        mask = cells_of(values, inside.attrs.get("dim_varying"), shape, swapped) > 0.5
    time = np.asarray(space["time"], np.float64)
    return WellContents(
        count=count,
        steps=steps,
        time=time[0] if time.ndim > 1 else time,
        fields=fields,
        groups=groups,
        places=places,
        swapped=swapped,
        shape=shape,
        grid=None if len(shape) == 1 else (len(y), len(x)),
        coordinates=coordinates,
        mask=mask,
        parameters=_parameters(file, count),
    )


def words(attribute: Any) -> tuple[str, ...]:
    return tuple(word.decode() if isinstance(word, bytes) else str(word) for word in np.atleast_1d(attribute))


def _standard(file: Any, path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...], tuple[Place, ...]]:
    """Names, groups and places of the fields that change in time, scalars before vectors."""
    axes = words(file["dimensions"].attrs["spatial_dims"])
    names, groups, places, left = [], [], [], []
    for group in ("t0_fields", "t1_fields", "t2_fields"):
        for name in words(file[group].attrs["field_names"]) if group in file else ():
            if group == "t2_fields" or not file[group][name].attrs["time_varying"]:
                left += [name] if name != "mask" else []
                continue
            components = (None,) if group == "t0_fields" else tuple(range(len(axes)))
            groups.append(tuple(range(len(names), len(names) + len(components))))
            names += [name if i is None else f"{name}_{axes[i]}" for i in components]
            places += [(group, name, i) for i in components]
    if left:
        log.info("well: %s: left out %s, which are constant or tensors", path.name, ", ".join(left))
    if not names:
        raise UserError(f"{path} has no scalar or vector field that changes in time")
    return tuple(names), tuple(groups), tuple(places)


def _parameters(file: Any, count: int) -> dict[str, np.ndarray]:
    """(N,) by name: the scalars that do not change in time, and the numbers among the parameters of the simulation."""
    found = {}
    for name in words(file["scalars"].attrs["field_names"]) if "scalars" in file else ():
        scalar = file["scalars"][name]
        if not scalar.attrs["time_varying"]:
            value = np.asarray(scalar[()], np.float32)
            found[name] = value.reshape(count) if scalar.attrs["sample_varying"] else np.full(count, value.ravel()[0])
    for name in words(file.attrs.get("simulation_parameters", ())):
        value = np.asarray(file.attrs.get(name, "none"))
        if name not in found and value.size == 1 and value.dtype.kind in "fiu":
            found[name] = np.full(count, value.ravel()[0], np.float32)
    return found


def places_of(fields: tuple[str, ...], groups: tuple[tuple[int, ...], ...]) -> tuple[Place, ...]:
    """Where fields are written: a pair as a vector field, others as scalar fields."""
    places: dict[int, Place] = {}
    for group in groups:
        names = tuple(fields[i] for i in group)
        if len(group) == 2:
            places |= {i: ("t1_fields", _NAMES.get(names, "_".join(names)), j) for j, i in enumerate(group)}
        else:
            places |= {i: ("t0_fields", _NAMES.get((name,), name), None) for i, name in zip(group, names, strict=True)}
    return tuple(places[i] for i in range(len(fields)))
