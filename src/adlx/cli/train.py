"""`adlx train`: passes its words to Hydra."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from adlx.cli.arguments import Parser, settings
from adlx.config.catalog import GROUPS, NODES, config_folder, config_folders, options
from adlx.config.file_settings import node_settings, read_config_file, resolved_choices

if TYPE_CHECKING:
    from omegaconf import DictConfig

SHOW_FLAGS = {"--cfg", "-c", "--info", "-i", "--hydra-help"}
"""Flags of Hydra that only print."""


def parser() -> Parser:
    parser = Parser(
        "train",
        "Fits a model, tests its best checkpoint and writes a run folder. The last line names the folder.",
        dict(_settings()),
    )
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="settings, as above; a model and data are needed"
    )
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="train one run for each combination of comma-separated values"
    )
    parser.add_argument("-c", "--cfg", choices=["job", "hydra", "all"], help="show the config instead of training")
    parser.add_config_dir()
    parser.add_argument("--hydra-help", action="store_true", help="show the other flags, which are Hydra's")
    return parser


def _settings() -> Iterator[tuple[str, str]]:
    """Yields the forms of settings with their choices or keys, read from the config files."""
    for group in GROUPS:
        yield f"{group}=NAME", ", ".join(options(group))
    folders = config_folders()
    choices = resolved_choices({}, folders)
    for node in NODES:
        keys = node_settings(node, choices, folders)
        yield f"{node}.KEY=VALUE", ", ".join(keys) if keys else f"depends on {node}=NAME"
    root = read_config_file(config_folder() / "train.yaml", folders).settings
    for key in ("seed", "output_dir"):
        yield f"{key}={root[key].value}", root[key].comment
    yield from settings("allow=[PACKAGE]").items()


def main(words: list[str]) -> None:
    if {"-h", "--help"} & set(words):
        parser().print_help()
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
        except Exception as error:  # Hydra would print its own message
            errors.append(error)

    run_hydra(words, job)
    if errors:
        raise errors[0]
