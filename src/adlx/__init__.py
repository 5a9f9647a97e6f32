"""adlx: config-driven deep-learning experiments with honest scores.

import adlx
run = adlx.train(["model=seq2seq", "data=crypto"])
run.metrics["test/skill"]
adlx.open_run(run.path).predict()
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adlx.comparison.compare import Comparison
    from adlx.runs.folder import Run

__all__ = ["compare", "open_run", "train"]

try:
    __version__ = version("adlx")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

# The bodies import late: `import adlx` and the command's help cost nothing.


def train(words: Sequence[str]) -> "Run":
    """Fits and tests what `adlx train WORDS...` would; see `adlx.runs.train.train`."""
    from adlx.runs.train import train as run_train

    return run_train(words)


def open_run(path: str | Path) -> "Run":
    """Opens a run folder; see `adlx.runs.folder.Run`."""
    from adlx.runs.folder import Run

    return Run.open(path)


def compare(paths: Sequence[str | Path], metric: str | None = None, reference: str | None = None) -> "Comparison":
    """Compares runs; see `adlx.comparison.compare.compare`."""
    from adlx.comparison.compare import compare as run_compare

    return run_compare(paths, metric, reference=reference)
