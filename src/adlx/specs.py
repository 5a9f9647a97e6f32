"""The dimensions of data, from which a model is built, so that no config repeats them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, get_args

if TYPE_CHECKING:
    from torch import Tensor


class Spec:
    """Base of all specs: frozen dataclasses of plain values.

    Attributes:
        words: the name of such data in messages, such as `images`.
    """

    words: ClassVar[str]

    def plain(self) -> dict[str, Any]:
        """The values by name, and the class under `_target_`, as a checkpoint holds them."""
        kind = type(self)
        return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class SeriesSpec(Spec):
    """Shape of a forecasting problem.

    Args:
        series: names of the series, in column order; their number is the width of every tensor.
        context: number of time steps in the input of a model.
        horizon: number of time steps that it forecasts.
        outputs: values that a model may give for each series and step. 1: the point forecast. More: the point forecast
            and the numbers that determine its quantiles.
    """

    words = "series"

    series: tuple[str, ...]
    context: int
    horizon: int
    outputs: int = 1


@dataclass(frozen=True)
class ImageSpec(Spec):
    """Shape of a set of images, with values from 0 to 1.

    Args:
        channels: 1 grey, 3 colour.
        size: height and width in pixels.
        classes: names of the classes, in the order of the labels; empty if there are no labels.
    """

    words = "images"

    channels: int
    size: tuple[int, int]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeSpec(Spec):
    """Shape of a set of code maps: grids of whole numbers, each the index of a vector in a codebook.

    Args:
        grid: height and width of a map.
        codebook: the number of codes.
        dimension: the dimension of the vectors; None: the vectors are not known.
        classes: names of the classes, in the order of the labels.
    """

    words = "code maps"

    grid: tuple[int, int]
    codebook: int
    dimension: int | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldSpec(Spec):
    """Shape of physical fields on fixed cells.

    Args:
        fields: their names, in the order of the last axis, such as u, v, p.
        groups: indices of the fields that belong together, such as ((0, 1), (2,)) for a velocity and a pressure.
        cells: number of points at which the fields are given.
        grid: numbers of rows and columns if the cells form a grid, ordered row by row; None: they form no grid.
        coordinates: x and y of each cell if there is no grid.
        parameters: names of the numbers that a trajectory has, such as its Reynolds number.
    """

    words = "fields"

    fields: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    cells: int
    grid: tuple[int, int] | None = None
    coordinates: tuple[tuple[float, float], ...] | None = None
    parameters: tuple[str, ...] = ()


def describe_spec(kind: type | UnionType) -> str:
    """The data that a spec class, or a union of them, describes, in words: `images or code maps`."""
    kinds: tuple[Any, ...] = get_args(kind) or (kind,)
    return " or ".join(spec.words for spec in kinds)


class SampleBatches(Protocol):
    """Samples (N, ...) for statistics: a tensor, or stored samples that are read batch by batch."""

    def __len__(self) -> int: ...

    def split(self, split_size: int, /) -> "Iterable[Tensor]": ...
