"""What data tells a model about itself, so that no config repeats a dimension."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SeriesSpec:
    """Shape of a forecasting problem.

    Args:
        series: names of the series, in column order; their number is the width of every tensor.
        context: time steps a model sees.
        horizon: time steps it forecasts.
    """

    series: tuple[str, ...]
    context: int
    horizon: int
