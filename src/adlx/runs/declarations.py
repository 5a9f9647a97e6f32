"""The declarations of the metrics of a run."""

from adlx.config.targets import resolve
from adlx.errors import UserError
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result
from adlx.metrics.training import TRAINING
from adlx.runs.folder import RunFolder


def result_kind(run: RunFolder) -> type[Result]:
    """The class of the test result of a run, which its `run.json` names.

    Raises:
        UserError: it names no class, or a class that is not a `Result` of a trusted package; nothing else is imported.
    """
    if "result" not in run.info:
        raise UserError(f"{run.path}/run.json does not name the kind of its result: an older adlx wrote it")
    return resolve(run.info["result"], Result, "result")


def metrics_of(run: RunFolder) -> tuple[Metric, ...]:
    """The declarations of all metrics that `metrics.json` of a run may contain."""
    return (*result_kind(run).metrics, *TRAINING)
