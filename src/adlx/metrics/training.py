"""Metrics of every run, for all tasks: duration of the training, and size of the model."""

from collections.abc import Mapping

from adlx.metrics.declaration import Metric

_PARAMETERS, _TRAINABLE = "model/parameters", "model/trainable_parameters"
_SECONDS, _SPEED, _MEMORY, _CHECKPOINT = (
    "fit/seconds",
    "fit/steps_per_second",
    "fit/peak_memory_mb",
    "fit/checkpoint_kb",
)
_NONZEROS, _SIZE = "model/nonzeros", "model/size_kb"
_FROZEN = (_PARAMETERS, _TRAINABLE)
"""These two numbers differ if some weights are frozen."""

TRAINING: tuple[Metric, ...] = (
    Metric(_SECONDS, "seconds", "down", "seconds", headline=True, in_table=False, in_comparison=True),
    Metric(_SPEED, "steps a second", "up", in_table=False),
    Metric(_MEMORY, "peak memory MB", "down", "count", in_table=False),
    Metric(_PARAMETERS, "parameters", "down", "count", headline=True, in_table=False),
    Metric(_TRAINABLE, "trained", "down", "count", in_table=False, where_differ=_FROZEN),
    Metric(_NONZEROS, "non-zeros", "down", "count", parts="readout", in_table=False),
    Metric(_SIZE, "model kB", "down", "count", in_table=False),
    Metric(_CHECKPOINT, "checkpoint kB", "down", "count", in_table=False, where_differ=_FROZEN),
)


def training_scores(
    seconds: float, steps: int, peak_memory_mb: float, checkpoint_bytes: int, *, seconds_before: float = 0.0
) -> dict[str, float]:
    """The numbers of `metrics.json` about the training.

    Args:
        seconds: training time of this process.
        steps: training steps in that time; without any, as for a model without parameters, the speed is 0.
        peak_memory_mb: peak memory of this process.
        checkpoint_bytes: size of the checkpoint that was tested.
        seconds_before: training time of earlier processes, for a resumed run.
    """
    return {
        _SECONDS: seconds_before + seconds,
        _SPEED: steps / seconds if steps else 0.0,
        _MEMORY: peak_memory_mb,
        _CHECKPOINT: checkpoint_bytes / 1000,
    }


def size_scores(
    parameters: int,
    trainable: int,
    nonzeros: int,
    size_bytes: int,
    nonzeros_by_readout: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """The numbers of `metrics.json` about the size of a model.

    Args:
        parameters: number of weights, including frozen ones.
        trainable: number of weights that training changes.
        nonzeros: number of weights that are not 0.
        size_bytes: size of the model in memory.
        nonzeros_by_readout: the same number for each readout of a model with several, by name.
    """
    by_readout = {f"{_NONZEROS}/{name}": count for name, count in (nonzeros_by_readout or {}).items()}
    sizes = {_PARAMETERS: parameters, _TRAINABLE: trainable, _NONZEROS: nonzeros, _SIZE: size_bytes / 1000}
    return {**sizes, **by_readout}
