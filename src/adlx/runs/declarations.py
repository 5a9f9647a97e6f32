"""The declarations of the metrics of a run."""

from adlx.config.targets import resolve
from adlx.errors import UserError
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result
from adlx.metrics.training import TRAINING
from adlx.runs.folder import RunFolder


def result_kind(run: RunFolder) -> type[Result]:
    """The class of what the test of a run predicted, as its `run.json` names it.

    Raises:
        UserError: it names none, or one that is no result of a trusted package; nothing is imported then.
    """
    if "result" not in run.info:
        raise UserError(f"{run.path}/run.json does not name the kind of its result: an older adlx wrote it")
    return resolve(run.info["result"], Result, "result")


def metrics_of(run: RunFolder) -> tuple[Metric, ...]:
    """The declarations of all metrics that `metrics.json` of a run may contain."""
    return (*result_kind(run).metrics, *TRAINING)
