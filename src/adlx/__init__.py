"""adlx: config-driven deep-learning experiments with honest scores.

import adlx
run = adlx.train(["model=seq2seq", "data=crypto"])
run.metrics["test/skill"]
adlx.open_run(run.path).predict()
"""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adlx.api import Run, compare, open_run, train

__all__ = ["Run", "compare", "open_run", "train"]

# A thread that waits for another one sleeps instead of spinning: on a machine with other work, spinning threads keep
# each other from the cores. OpenMP reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("adlx")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used: `import adlx` and the command's help cost nothing."""
    if name not in __all__:
        raise AttributeError(f"module adlx has no attribute {name}")
    from adlx import api

    return getattr(api, name)
