"""A trained model out of a run folder, with its own data or others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from adlx.config.check import check
from adlx.config.compose import apply
from adlx.config.targets import build, resolve, trust
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.models.lora import merge
from adlx.runs.assembly import build_task, gives
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.finetune import located
from adlx.runs.folder import Run
from adlx.runs.progress import quiet_lightning
from adlx.specs import spec_of, told
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

    config: dict[str, Any]
    data: DataModule
    task: Task
    title: str


def open_trained(run: Run, words: Sequence[str], stage: Literal["test", "predict"]) -> Trained:
    """Loads the best checkpoint of a run (`last.ckpt` if there is no best).

    Args:
        run: finished, or stopped after its first checkpoint.
        words: overrides of `data`, `data.*`, `trainer.*` and `allow`.
        stage: `test` splits the data; `predict` needs no more rows than the model's context.

    Raises:
        UserError: an override that a trained model cannot follow, other series, a damaged checkpoint.
    """
    touched = {word.lstrip("+").split("=")[0] for word in words}
    for key in sorted(touched):
        if key.split(".")[0] not in ("data", "trainer", "allow") and key != "finetune.run":
            raise UserError(f"{key}: a trained run is what it is; override data, data.* or trainer.*")
    config, allow = apply(run.config, words)
    trust(allow)
    config["finetune"] = located(run, config["finetune"])
    if "data" in touched:  # another choice: what the model depends on stays as it was trained
        kind = resolve(config["data"].get("_target_"), DataModule, "data")
        assert issubclass(kind, DataModule)
        kept = {key for key in kind.model_keys if f"data.{key}" not in touched and key in run.config["data"]}
        config["data"].update({key: run.config["data"][key] for key in kept})
    check(config, lambda key: "on the command line" if key in touched else f"in {run.path}/config.yaml")
    quiet_lightning()
    if "threads" in run.info:  # another number rounds differently, and scores would not come out the same to the bit
        torch.set_num_threads(run.info["threads"])
    checkpoint = load_checkpoint(run.best if run.best.is_file() else run.last)
    data: DataModule = build(config["data"], DataModule, "data")
    views = {f"data.{key}" for key in type(data).view_keys}
    own_data = all(key in views or not key.startswith("data") for key in touched)
    if own_data:
        for key, value in data.pinned(run.info["data"]).items():
            setattr(data, key, value)
    data.trained_spec = checkpoint["adlx"]["spec"]
    if (trained_on := type(spec_of(checkpoint["adlx"]["spec"]))) is not gives(data):
        raise UserError(f"{run.path} is for {told(trained_on)}, and {type(data).__name__} gives {told(gives(data))}")
    if stage == "test":
        data.setup(stage)
    else:
        data.read()
    task = build_task(config, data, trained=True)
    try:
        task.load_weights(checkpoint)
    except RuntimeError as error:
        detail = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(f"{run.path}: the checkpoint does not fit the config: {detail}") from None
    merge(task.model)
    return Trained(config, data, task, run.title if own_data else f"{run.info['choices']['model']} on {data.origin()}")
