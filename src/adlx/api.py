"""The same as the commands, from Python: `adlx.train`, `adlx.open_run`, `adlx.compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from adlx.comparison.comparison import Comparison
from adlx.runs.folder import RunFolder

# The bodies import late: opening a run and reading its numbers needs no torch.


class Run(RunFolder):
    """A run folder with the verbs of the command line. Its path is absolute: it is good wherever the program goes."""

    @classmethod
    def open(cls, path: str | Path) -> Self:
        return super().open(Path(path).absolute())

    def resume(self, overrides: Sequence[str] = ()) -> Self:
        """Goes on with a run that was stopped; see `adlx.runs.resume.resume`."""
        from adlx.runs.resume import resume

        resume(self, overrides)
        return self

    def evaluate(self, overrides: Sequence[str] = ()) -> dict[str, float]:
        """Scores of the best checkpoint; see `adlx.runs.evaluate.evaluate`."""
        from adlx.runs.evaluate import evaluate

        return evaluate(self, overrides).metrics

    def predict(self, overrides: Sequence[str] = ()) -> Any:
        """The product of the run's task; see `adlx.runs.predict.predict`."""
        from adlx.runs.predict import predict

        return predict(self, overrides).product


def train(words: Sequence[str]) -> Run:
    """Fits and tests what `adlx train WORDS...` would: `train(["model=seq2seq", "data=crypto"])`.

    Raises:
        UserError: a word, a file or the data are not as they must be; nothing was written.
        RunFailed: the run could not go on; its folder says why.
    """
    from adlx.runs.train import train as train_run

    run = train_run(words)
    return Run(run.path.absolute(), run.info)


def open_run(path: str | Path) -> Run:
    """Opens a run folder.

    Raises:
        UserError: there is none, or its `run.json` cannot be read.
    """
    return Run.open(path)


def compare(paths: Sequence[str | Path], metric: str | None = None, reference: str | None = None) -> Comparison:
    """Compares runs; see `adlx.comparison.compare.compare`."""
    from adlx.comparison.compare import compare as compare_runs

    return compare_runs(paths, metric, reference=reference)
