"""What data tells a model about itself, so that no config repeats a dimension."""

from dataclasses import dataclass


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
