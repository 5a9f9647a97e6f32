"""adlx: config-driven deep-learning experiments with honest scores.

import adlx
run = adlx.train(["model=seq2seq", "data=crypto"])
run.metrics["test/skill"]
run.table, run.curves, run.predictions  # pandas
adlx.predict(run).table
"""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adlx.api import Run, compare, evaluate, find_runs, open_run, predict, train
    from adlx.errors import RunFailed, UserError

__all__ = ["Run", "RunFailed", "UserError", "compare", "evaluate", "find_runs", "open_run", "predict", "train"]

# A waiting thread sleeps instead of spinning. On a busy machine, spinning threads would use the cores that other
# threads need. OpenMP reads this variable when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("adlx")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used: `import adlx` and the command's help cost nothing."""
    if name not in __all__:
        raise AttributeError(f"module adlx has no attribute {name}")
    from adlx import api, errors

    return getattr(errors if hasattr(errors, name) else api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
