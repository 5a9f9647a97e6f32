"""Runs Hydra's own command line on the words of `adlx train`."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig

from adlx.config.catalog import config_folder, extensions
from adlx.config.compose import compose, for_hydra, refuse_flags, search_path
from adlx.config.config_dirs import config_dir_words, split_config_dirs
from adlx.config.hydra_errors import readable_errors

MULTIRUN_FLAGS = ("-m", "--multirun")


def run_hydra(words: Sequence[str], job: Callable[[DictConfig], Any], more: Sequence[str] = ()) -> None:
    """Composes the config that the words describe and calls `job` with it; with `-m`, once for each job of the sweep.

    Args:
        words: as the user typed them, Hydra's own flags included.
        job: called with the composed config.
        more: further overrides.

    Raises:
        UserError: a word that cannot be read, or a choice or key that does not exist.
    """
    others, folders = split_config_dirs(words)
    # Hydra's parser expects all overrides in one block; a user may mix them with flags.
    overrides = [word for word in others if ("=" in word and word[:1] != "-") or word[:1] == "~"]
    flags = [word for word in others if word not in overrides]
    refuse_flags(others, folders)
    with readable_errors(words, folders):
        ready = for_hydra(overrides, folders, multirun=bool({*MULTIRUN_FLAGS} & set(flags)))
        if not flags:  # Hydra prints lines of its own on mistakes that it meets in a job
            compose([*config_dir_words(folders), *overrides])
    program, before = sys.argv[0], (sys.argv, os.environ.get("HYDRA_FULL_ERROR"))

    def call(cfg: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig

        # Lightning repeats this command to start a process for each further device: one job, not the whole sweep.
        task = [word.removeprefix("++") for word in HydraConfig.get().overrides.task]
        sys.argv = [program, "train", *config_dir_words(folders), *task]
        return job(cfg)

    folders_word = search_path([*extensions().values(), *folders])
    sys.argv = [program, *ready, *more, *folders_word, *flags]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints tracebacks of its own and exits
    try:
        with readable_errors(words, folders):
            hydra.main(config_path=str(config_folder()), config_name="train", version_base="1.3")(call)()
    finally:
        sys.argv = before[0]
        if before[1] is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
