"""`adlx train`: parses nothing, hands the words to Hydra."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adlx.cli.examples import examples

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """usage: adlx train model=NAME data=NAME [key=value ...] [-m] [--cfg job] [--config-dir DIR]

Fits a model, tests its best checkpoint and writes a run folder; the last line names it.

  group=NAME         a choice: model, data, loss, optimizer, trainer, callbacks, logger, experiment (adlx list)
  key=value          a setting: model.hidden=128 data.context=168 optimizer.lr=3e-4 trainer.max_epochs=10 seed=1
  -m, --multirun     one run for each combination of comma-separated values, then a table over them
  --cfg job          show the config instead of running it
  --config-dir DIR   a folder with configs of your own (and allow=[your_package] for your own classes)
  --hydra-help       what else Hydra can do

"""

SHOW_FLAGS = {"--cfg", "-c", "--info", "-i", "--hydra-help"}
"""Flags of Hydra that print something and run nothing."""


def main(words: list[str]) -> None:
    if not words or {"-h", "--help"} & set(words):
        print(HELP + examples("train"), end="")
        if not words:
            sys.exit(2)
        return
    from adlx.sweeps.multirun import MULTIRUN_FLAGS, run_sweep

    if {*MULTIRUN_FLAGS} & set(words) and not SHOW_FLAGS & set(words):
        from adlx.reporting.outcomes import report_sweep

        sweep = run_sweep(words)
        path = sweep.path.relative_to(Path.cwd()) if sweep.path.is_relative_to(Path.cwd()) else sweep.path
        report_sweep(path, sweep.comparison, sweep.failed)
        sys.exit(1 if sweep.failed else 0)

    from adlx.config.compose import composition
    from adlx.config.hydra_command import run_hydra
    from adlx.reporting.terminal import report
    from adlx.runs.train import start

    errors: list[Exception] = []

    def job(cfg: "DictConfig") -> None:
        try:
            run = start(composition(cfg), tested=report)
            print(f"run: {run.path}")
        except Exception as error:  # Hydra would add a line of its own to it
            errors.append(error)

    run_hydra(words, job)
    if errors:
        raise errors[0]
