"""A trained run with its own data or others, ready to be scored or to predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from adlx.config.compose import apply
from adlx.config.config_dirs import split_config_dirs
from adlx.config.nodes import CheckedConfig
from adlx.config.targets import resolve, trust
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.models.lora import merge
from adlx.runs.build import build_data, check_pair, spec_kind
from adlx.runs.checkpoints import card_of, load_checkpoint
from adlx.runs.devices import check_accelerator
from adlx.runs.folder import RunFolder
from adlx.runs.groups import checked_stored
from adlx.runs.progress import quiet_lightning
from adlx.runs.restore import locate_base, readable_mismatch, restore_task, spec_from
from adlx.specs import describe_spec
from adlx.tasks.task import Task


@dataclass(frozen=True)
class Trained:
    """What `adlx eval` and `adlx predict` work with.

    Args:
        config: the run's, with overrides.
        data: loaded; conforming to what the model was trained on.
        task: holds the best checkpoint's weights and the training part's statistics.
        title: for figures; says `simulated` where the data are.
    """

    config: CheckedConfig
    data: DataModule
    task: Task
    title: str


def open_trained(run: RunFolder, words: Sequence[str], stage: Literal["test", "predict"]) -> Trained:
    """Loads the best checkpoint of a run (`last.ckpt` if there is no best).

    Args:
        run: finished, or stopped after its first checkpoint.
        words: overrides of `data`, `data.*`, `trainer.*` and `allow`, and `--config-dir DIR`.
        stage: `test` splits the data; `predict` needs no more rows than the model's context.

    Raises:
        UserError: an override that a trained model cannot follow, other series, a damaged checkpoint.
    """
    words, folders = split_config_dirs(words)
    touched = {word.lstrip("+").split("=")[0] for word in words}
    config = overridden(run, words, touched, folders)
    run.remember_config_folders(folders)
    quiet_lightning()
    check_accelerator(config.trainer.arguments.get("accelerator", "auto"))
    if "threads" in run.info:  # another number rounds differently, and scores would not come out the same to the bit
        torch.set_num_threads(run.info["threads"])
    checkpoint = load_checkpoint(run.checkpoint)
    views = {f"data.{key}" for key in config.data.target.view_keys}
    own_data = all(key in views or not key.startswith("data") for key in touched)
    data = build_data(config, run if own_data else None)
    data.expected_spec = spec_from(card_of(checkpoint, run.checkpoint)["spec"], run.checkpoint)
    if type(data.expected_spec) is not spec_kind(type(data)):
        raise UserError(
            f"{run.path} is for {describe_spec(type(data.expected_spec))}, and {type(data).__name__} gives "
            f"{describe_spec(spec_kind(type(data)))}"
        )
    if stage == "test":
        data.setup(stage)
    else:
        data.read()
    task = restore_task(config, data)
    with readable_mismatch(run):
        task.load_weights(checkpoint)
    merge(task.model)
    title = run.title if own_data else f"{run.info['choices']['model']} on {data.origin()}"
    return Trained(config, data, task, title)


def overridden(run: RunFolder, words: Sequence[str], touched: set[str], more: Sequence[Path] = ()) -> CheckedConfig:
    """The checked config of a run with overrides. Other data keep the settings that the model depends on.

    `more` are folders of config files that the overrides may choose from, besides those that the run knows.
    """
    for key in sorted(touched):
        if key.split(".")[0] not in ("data", "trainer", "allow") and key != "finetune.run":
            raise UserError(f"{key}: a trained run is what it is; override data, data.* or trainer.*")
    plain, allow = apply(run.config, words, [*more, *run.config_folders])
    trust(allow)
    plain["finetune"] = locate_base(run, plain["finetune"])
    check_pair(plain)
    if "data" in touched:
        kind: Any = resolve(plain["data"].get("_target_"), DataModule, "data")
        needed = {key for key in kind.model_keys if f"data.{key}" not in touched and key in run.config["data"]}
        plain["data"].update({key: run.config["data"][key] for key in needed})
    return checked_stored(plain, run.path / "config.yaml", touched)
