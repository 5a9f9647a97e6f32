"""Loads a trained run with its own data or with other data, to score it or to predict with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from adlx.config.apply import apply
from adlx.config.config_dirs import split_config_dirs
from adlx.config.nodes import CheckedConfig
from adlx.config.targets import resolve, trust
from adlx.data.datamodule import DataModule, TrainedOn
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
        config: the config of the run, with overrides.
        data: the loaded data, with the dimensions of the data that the model was trained on.
        task: the task, with the weights of the best checkpoint and the statistics of the training part.
        title: the title of figures, with `simulated` for simulated data.
    """

    config: CheckedConfig
    data: DataModule
    task: Task
    title: str


def load_trained(run: RunFolder, words: Sequence[str], stage: Literal["test", "predict"]) -> Trained:
    """Loads the best checkpoint of a run, or `last.ckpt` if there is no best one yet.

    Args:
        run: finished, or stopped after its first checkpoint.
        words: overrides of `data`, `data.*`, `trainer.*` and `allow`, and `--config-dir DIR`.
        stage: `test` splits the data; `predict` needs only as many rows as the model's context.

    Raises:
        UserError: an override that is not possible for a trained model, other series, or a damaged checkpoint.
    """
    words, folders = split_config_dirs(words)
    changed = {word.lstrip("+").split("=")[0] for word in words}
    config = overridden(run, words, changed, folders)
    run.remember_config_folders(folders)
    quiet_lightning()
    check_accelerator(config.trainer.arguments.get("accelerator", "auto"))
    if "threads" in run.info:  # another number rounds differently, so the scores would not be equal bit for bit
        torch.set_num_threads(run.info["threads"])
    checkpoint = load_checkpoint(run.checkpoint)
    views = {f"data.{key}" for key in config.data.target.view_keys}
    own_data = all(key in views or not key.startswith("data") for key in changed)
    data = build_data(config, run if own_data else None, newest=stage == "predict")
    keeps_split = "data.split" not in changed
    data.trained_on = TrainedOn(run.info["data"], own_data, keeps_split, run.path / "run.json")
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


def overridden(run: RunFolder, words: Sequence[str], changed: set[str], folders: Sequence[Path] = ()) -> CheckedConfig:
    """The checked config of a run with overrides. Other data keep the settings that the model depends on.

    Args:
        run: the run.
        words: the overrides.
        changed: the keys of the overrides.
        folders: folders of config files that the overrides may choose from, in addition to those of the run.
    """
    for key in sorted(changed):
        if key.split(".")[0] not in ("data", "trainer", "allow") and key != "finetune.run":
            raise UserError(f"{key}: a trained run cannot change this; override data, data.* or trainer.*")
    plain, allow = apply(run.config, words, [*folders, *run.config_folders])
    trust(allow)
    plain["finetune"] = locate_base(run, plain["finetune"])
    if "data" in changed:
        check_pair(plain)
        kind: Any = resolve(plain["data"].get("_target_"), DataModule, "data")
        needed = {key for key in kind.model_keys if f"data.{key}" not in changed and key in run.config["data"]}
        plain["data"].update({key: run.config["data"][key] for key in needed})
    return checked_stored(plain, run.path / "config.yaml", changed)
