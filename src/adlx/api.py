"""The commands as Python functions: they return what a command prints, and print nothing.

Functions that train or load data have an argument `progress`: with True, they print what they do, line by line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from adlx.api_output import import_lightning, quiet_call
from adlx.comparison.comparison import Comparison
from adlx.comparison.selection import is_multirun, is_run, open_runs, search
from adlx.config.config_dirs import FLAGS as CONFIG_DIR_FLAGS
from adlx.config.hydra_command import MULTIRUN_FLAGS
from adlx.config.hydra_internals import flags
from adlx.errors import UserError
from adlx.metrics.html import notebook_html
from adlx.metrics.score_table import score_table, score_texts
from adlx.reporting.terminal import verdicts
from adlx.runs.curves import read_curves
from adlx.runs.declarations import result_kind
from adlx.runs.folder import RunFolder

if TYPE_CHECKING:
    from adlx.runs.evaluate import Evaluation
    from adlx.runs.predict import Prediction
    from adlx.sweeps.multirun import Sweep

# Functions import torch when they are called, since opening a run and reading its numbers needs no torch.

Words = Sequence[str]
"""Settings as on the command line, one string each, such as `data.horizon=5`."""


class Run(RunFolder):
    """A run folder with the commands as methods. Its path is absolute, so the program may change its folder."""

    @classmethod
    def open(cls, path: str | Path) -> Self:
        return super().open(absolute(path))

    @property
    def table(self) -> pd.DataFrame:
        """The scores as numbers: columns `metric`, `model`, `baseline`, `skill`; without rows before the test.

        Raises:
            UserError: the task of the run is in a package that is not trusted.
        """
        return score_table(self.metrics, result_kind(self))

    @property
    def curves(self) -> pd.DataFrame:
        """The curves of the training, as in `metrics.csv`: `step` and `epoch`, which count from 0, and the metrics.

        A metric is NaN in the rows where it was not logged.
        """
        path = self.path / "metrics.csv"
        return read_curves(path) if path.is_file() else pd.DataFrame({"step": [], "epoch": []})

    @property
    def predictions(self) -> pd.DataFrame:
        """The predictions of the test with their targets; see `frame` of the result class for the columns.

        A forecast has a row for each window, step ahead and series, in original units. A classification has a row for
        each sample. For images and fields, rows hold errors, and `predictions.npz` the rest.

        Raises:
            UserError: the run has not been tested, or its task is in a package that is not trusted.
        """
        return result_kind(self).load(self.path / "predictions.npz").frame()

    def _repr_html_(self) -> str:
        """The scores in a notebook; for a run without scores, its status."""
        lines = [f"run: {self.path}"]
        try:
            kind = result_kind(self)
            scores = self.metrics
            texts = score_texts(scores, kind)
            lines = [*kind.remarks(scores, self.info), *verdicts(scores, kind.metrics), *lines]
        except UserError as error:  # the folder is shown nevertheless
            texts, lines = None, [str(error), *lines]
        return notebook_html(f"{self.title}: {self.status}", texts, lines)

    def resume(self, overrides: Words = (), progress: bool = False) -> Self:
        """Continues a run that was stopped, as `adlx resume RUN` does; see `adlx.runs.resume.resume`."""
        with quiet_call(progress):
            import_lightning()
            from adlx.runs.resume import resume

            resume(self, list_of_words(overrides))
        return self

    def evaluate(self, overrides: Words = (), progress: bool = False) -> dict[str, float]:
        """The metrics of `adlx.evaluate`."""
        return evaluate(self, overrides, progress).metrics

    def predict(self, overrides: Words = (), progress: bool = False) -> Any:
        """The product of `adlx.predict`: a table of forecasts or classes, an array of images or fields."""
        return predict(self, overrides, progress).product


def train(words: Words, progress: bool = False) -> "Run | Sweep":
    """Trains and tests a model, as `adlx train WORDS...` does: `train(["model=seq2seq", "data=crypto"])`.

    Args:
        words: settings; `-m` and `--config-dir DIR` are accepted too.
        progress: print a line for each epoch.

    Returns:
        the run; with `-m` among the words, the sweep: its `runs`, their `table`, and the jobs that `failed`.

    Raises:
        UserError: there is a mistake in a word, a file or the data. Nothing was written.
        RunFailed: the run could not go on; `run.json` in its folder has the reason. A failed job of a sweep does not
            raise.
        KeyboardInterrupt: the user stopped it. A checkpoint is saved, and the message says how to go on.
    """
    words = list_of_words(words)
    with quiet_call(progress):
        import_lightning()
        if not {*MULTIRUN_FLAGS} & set(words):
            from adlx.runs.train import train as train_run

            return as_run(train_run(words))
        from adlx.sweeps.multirun import run_sweep

        sweep = run_sweep(words)
        return replace(sweep, runs=[as_run(run) for run in sweep.runs])


def evaluate(run: str | Path | RunFolder, overrides: Words = (), progress: bool = False) -> "Evaluation":
    """Scores the best checkpoint of a run as `adlx eval RUN` does; see `adlx.runs.evaluate.evaluate`.

    Args:
        run: a run, or the path of its folder.
        overrides: such as `data.path=new.csv`.
        progress: print lines that show the progress.

    Returns:
        `metrics` as in `metrics.json`, and `table`, `predictions` and `tables` as pandas.

    Raises:
        UserError: the data do not fit the run.
    """
    with quiet_call(progress):
        import_lightning()
        from adlx.runs.evaluate import evaluate as evaluate_run

        return evaluate_run(open_if_path(run), list_of_words(overrides))


def predict(run: str | Path | RunFolder, overrides: Words = (), progress: bool = False) -> "Prediction":
    """Makes the product of a run as `adlx predict RUN` does; see `adlx.runs.predict.predict`.

    Args:
        run: a run, or the path of its folder.
        overrides: such as `data.path=new.csv`, `predict.n=64`, `seed=1`.
        progress: print lines that show the progress.

    Returns:
        the `product`, its `table` as pandas, and the `path` of the folder with its files.

    Raises:
        UserError: the data do not fit the run, or the product has no such option.
    """
    with quiet_call(progress):
        import_lightning()
        from adlx.runs.predict import predict as predict_run

        return predict_run(open_if_path(run), list_of_words(overrides))


def open_run(path: str | Path) -> Run:
    """Opens a run folder. The `status` of the run is running, finished, failed or interrupted.

    Raises:
        UserError: the folder is not a run, or its `run.json` cannot be read.
    """
    return open_if_path(path)


def find_runs(folder: str | Path = "outputs") -> list[Run]:
    """All runs in a folder, in the order in which they started; the latest is `[-1]`. The search goes two levels deep.

    Args:
        folder: a folder of runs, such as `outputs` or `outputs/<model>-<data>`, a run folder, or the folder of a sweep.

    Raises:
        UserError: there is no such folder.
    """
    folder = absolute(folder)
    if not folder.is_dir():
        raise UserError(f"no folder {folder}")
    paths = [folder] if is_run(folder) or is_multirun(folder) else list(search(folder))
    runs = {run.path.resolve(): as_run(run) for path in paths for run in open_runs(path)}
    return sorted(runs.values(), key=lambda run: (run.info.get("created", ""), run.path))


def compare(
    runs: Any, metric: str | None = None, reference: str | None = None, against: str | None = None
) -> Comparison:
    """Compares runs as `adlx compare RUN...` does; see `adlx.comparison.compare.compare`.

    Args:
        runs: runs, sweeps, paths of their folders or of folders of runs, or lists of these. A sweep stands for its
            finished runs.
        metric: key of `metrics.json` to sort by; None: the first headline that all runs have.
        reference: words of the label of one configuration, to say how much lower the errors of the others are.
        against: key of the config or of `metrics.json` with a number, to draw the metric against.

    Returns:
        `table`, a row for each configuration, best first; `details`, further tables by name; `write(FILE)`.

    Raises:
        UserError: a folder is no run, a run is unfinished, or the runs cannot be compared.
    """
    with quiet_call():
        from adlx.comparison.compare import compare as compare_runs

        paths = list(paths_of(runs))
        if not paths:
            raise UserError("there are no runs to compare: the list is empty")
        return compare_runs(paths, metric, against, reference)


def paths_of(runs: Any) -> Iterator[Path]:
    """The folders of runs, sweeps, paths and lists of these."""
    from adlx.sweeps.multirun import Sweep

    if isinstance(runs, str | Path):
        yield absolute(runs)
    elif isinstance(runs, RunFolder):
        yield runs.path
    elif isinstance(runs, Sweep):
        if runs.comparison is None:
            raise UserError(f"{runs.path}: no run of this sweep has finished")
        yield from (run.path for run in runs.runs if run.status == "finished")
    elif isinstance(runs, Iterable):
        for one in runs:
            yield from paths_of(one)
    else:
        raise UserError(f"{runs!r} is not a run, a sweep, the path of a folder, or a list of these")


def as_run(run: RunFolder) -> Run:
    return Run(absolute(run.path), run.info)


def open_if_path(run: str | Path | RunFolder) -> Run:
    return as_run(run) if isinstance(run, RunFolder) else Run.open(run)


def absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def list_of_words(words: Words) -> list[str]:
    """The words as a list of strings.

    Raises:
        UserError: this is not a list of strings, or a word is a flag that only the command has.
    """
    if isinstance(words, str):
        raise UserError(f"{words!r} is one string; write a list of words: {words.split()}")
    if isinstance(words, Mapping) or not isinstance(words, Iterable):
        raise UserError(f"{words!r} is not a list of words; write ['model=NAME', 'data=NAME', 'KEY=VALUE']")
    given = list(words)
    if wrong := [word for word in given if not isinstance(word, str)]:
        raise UserError(f"{wrong[0]!r} is not a word; write a list of strings such as 'KEY=VALUE'")
    command_only = flags().keys() - {*MULTIRUN_FLAGS, *CONFIG_DIR_FLAGS}
    if wrong := [word for word in given if word.partition("=")[0] in command_only]:
        raise UserError(
            f"{wrong[0]}: only the command has this flag; Python accepts KEY=VALUE, -m and --config-dir DIR"
        )
    return given
