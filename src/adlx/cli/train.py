"""`adlx train`: parses nothing, hands the words to Hydra."""

import os
import sys
from pathlib import Path
from typing import Any

from adlx.cli.examples import examples

HELP = """usage: adlx train model=NAME data=NAME [key=value ...] [-m] [--cfg job] [--config-dir DIR]

Fits a model, tests its best checkpoint and writes a run folder; the last line names it.

  group=NAME         a choice: model, data, loss, optimizer, trainer, callbacks, logger, experiment (adlx list)
  key=value          a setting: model.hidden=128 data.context=168 optimizer.lr=3e-4 trainer.max_epochs=10 seed=1
  -m, --multirun     one run for each combination of comma-separated values, then a table over them
  --cfg job          show the config instead of running it
  --config-dir DIR   a folder with configs of your own (and allow=[your_package] for your own classes)
  --hydra-help       what else Hydra can do

"""


def main(words: list[str]) -> None:
    if not words or {"-h", "--help"} & set(words):
        print(HELP + examples("train"), end="")
        if not words:
            sys.exit(2)
        return
    import hydra
    from omegaconf import DictConfig

    from adlx.config.catalog import config_folder, extensions
    from adlx.config.compose import composition, loosen, readable_errors, search_path

    errors: list[Exception] = []

    @hydra.main(config_path=str(config_folder()), config_name="train", version_base="1.3")
    def job(cfg: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from adlx.reporting.terminal import brief, report
        from adlx.runs.train import start

        hydra_cfg = HydraConfig.get()
        task = [word.removeprefix("++") for word in hydra_cfg.overrides.task]
        # What Lightning repeats to start a process for each further device: this job, not the sweep it belongs to.
        sys.argv = [given[0], "train", *_config_dir(words), *task]
        if hydra_cfg.mode != RunMode.MULTIRUN:
            try:
                run = start(composition(cfg), tested=report)
                print(f"run: {run.path}")
            except Exception as error:  # Hydra would add a line of its own to it
                errors.append(error)
            return
        from adlx.sweeps.multirun import run_job

        number, folder = int(hydra_cfg.job.num), Path(hydra_cfg.sweep.dir)
        run_job(folder, number, task, lambda created: start(composition(cfg), created), brief)

    # Hydra would print tracebacks of its own; told to leave errors alone, it lets them through to adlx.cli.main.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # Hydra's parser wants the overrides in one piece; a user need not know.
    overrides = [word for word in words if ("=" in word and word[:1] != "-") or word[:1] == "~"]
    flags = [word for word in words if word not in overrides]
    sweep = _sweep_folder(words)
    own = [*([] if sweep is None else [f"hydra.sweep.dir={sweep}"]), *search_path(list(extensions().values()))]
    given, sys.argv = sys.argv, ["adlx", *loosen(overrides), *own, *flags]
    try:
        with readable_errors(words):
            job()
    finally:
        sys.argv = given
    if errors:
        raise errors[0]
    if sweep is not None:
        _end_sweep(sweep)


def _end_sweep(folder: Path) -> None:
    """Prints how a sweep went, and exits."""
    from adlx.reporting.outcomes import report_sweep
    from adlx.sweeps.multirun import summarize

    summary = summarize(folder)
    report_sweep(summary.path, summary.comparison, summary.failed)
    sys.exit(1 if summary.failed else 0)


def _config_dir(words: list[str]) -> list[str]:
    """The flag that names a folder of the user's configs, with its value."""
    for at, word in enumerate(words):
        if word in ("--config-dir", "-cd"):
            return words[at : at + 2]
        if word.startswith("--config-dir="):
            return [word]
    return []


def _sweep_folder(words: list[str]) -> Path | None:
    """A new folder for a multirun; None for a single run, and where only help or the config is asked for."""
    if not {"-m", "--multirun"} & set(words) or {"--cfg", "-c", "--info", "-i"} & set(words):
        return None
    from adlx.runs.folder import new_folder

    output = next((word.split("=", 1)[1] for word in words if word.startswith("output_dir=")), "outputs")
    return new_folder(Path(output) / "multirun")
