"""What data tells a model about itself, so that no config repeats a dimension."""

from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, get_args


@dataclass(frozen=True)
class SeriesSpec:
    """Shape of a forecasting problem.

    Args:
        series: names of the series, in column order; their number is the width of every tensor.
        context: time steps a model sees.
        horizon: time steps it forecasts.
        outputs: values a model may give for each series and step: 1, a point; more, the point and what shapes the
            spread around it.
    """

    series: tuple[str, ...]
    context: int
    horizon: int
    outputs: int = 1


@dataclass(frozen=True)
class ImageSpec:
    """Shape of a set of images, with values from 0 to 1.

    Args:
        channels: 1 grey, 3 colour.
        size: height and width in pixels.
        classes: names of what is shown, in the order of the labels; empty where nothing is labelled.
    """

    channels: int
    size: tuple[int, int]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeSpec:
    """Shape of a set of code maps: whole numbers on a grid, each naming a vector of a codebook.

    Args:
        grid: height and width of a map.
        codebook: how many codes there are.
        dimension: of the vectors; None: the codes came without them.
        classes: names of what is shown, in the order of the labels.
    """

    grid: tuple[int, int]
    codebook: int
    dimension: int | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldSpec:
    """Shape of physical fields on fixed cells.

    Args:
        fields: their names, in the order of the last axis, such as u, v, p.
        groups: places of the fields that belong together, such as ((0, 1), (2,)) for a velocity and a pressure.
        cells: how many places the fields are known at.
        grid: rows and columns, of which the cells are the places row by row; None: anywhere.
        coordinates: x and y of each cell where there is no grid.
        parameters: names of the numbers that a trajectory has, such as its Reynolds number.
    """

    fields: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    cells: int
    grid: tuple[int, int] | None = None
    coordinates: tuple[tuple[float, float], ...] | None = None
    parameters: tuple[str, ...] = ()


SPECS: dict[type, str] = {SeriesSpec: "series", ImageSpec: "images", CodeSpec: "code maps", FieldSpec: "fields"}


def told(kind: type | UnionType) -> str:
    """What a spec, or one of several, is the shape of: `images or code maps`."""
    kinds: tuple[Any, ...] = get_args(kind) or (kind,)
    return " or ".join(SPECS[spec] for spec in kinds)


def spec_of(plain: dict[str, Any]) -> Any:
    """The spec that `dataclasses.asdict` made these values of."""
    kind = next(kind for kind in SPECS if plain.keys() <= {field.name for field in fields(kind)})
    return kind(**plain)
