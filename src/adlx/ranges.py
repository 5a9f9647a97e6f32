"""Annotations of arguments whose numbers must lie in a range. A config is checked against them before a run starts.

NaN and infinity are refused for every number of a config, with or without a range.
"""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
ShareAboveZero = Annotated[float, Gt(0), Le(1)]
ShareBelowOne = Annotated[float, Ge(0), Lt(1)]
Probability = Annotated[float, Gt(0), Lt(1)]

LARGEST = 2**20
"""The largest size of a layer; a larger one would not fit into memory."""

Size = Annotated[int, Ge(1), Le(LARGEST)]
"""Units, channels, features, codes, cells or time steps of a model."""
SizeOrZero = Annotated[int, Ge(0), Le(LARGEST)]
SizeFromTwo = Annotated[int, Ge(2), Le(LARGEST)]
Count = Annotated[int, Ge(1), Le(1024)]
"""The number of repeated parts of a model: layers, blocks, heads."""
CountOrZero = Annotated[int, Ge(0), Le(1024)]
