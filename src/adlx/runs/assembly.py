"""Data and task from a config."""

from dataclasses import asdict
from typing import Any, get_type_hints

import pytorch_lightning as pl
from torch import nn

from adlx.config.targets import build, resolve
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.runs.finetune import prepare
from adlx.runs.folder import versions
from adlx.runs.parts import build_model, check_base
from adlx.specs import told
from adlx.tasks import Task, task_for


def assemble(
    config: dict[str, Any], pinned: dict[str, Any] | None = None, trained: bool = False
) -> tuple[DataModule, Task]:
    """Builds data and task: all that can be wrong with a config is found here, before a folder exists.

    Args:
        config: checked.
        pinned: `run.json`'s facts on the data of an earlier run, to load the same again.
        trained: a checkpoint will be read into the task afterwards.
    """
    data: DataModule = build(config["data"], DataModule, "data")
    if pinned is not None:
        for key, value in data.pinned(pinned).items():
            setattr(data, key, value)
    data.seed = config["seed"]
    model = resolve(config["model"].get("_target_"), nn.Module, "model")
    wanted = task_for(model).spec_kind
    if not issubclass(gives(data), wanted):  # before anything is loaded
        raise UserError(
            f"model and data do not fit: {model.__name__} is for {told(wanted)}, and {type(data).__name__} gives "
            f"{told(gives(data))}"
        )
    data.setup("fit")
    return data, build_task(config, data, trained)


def gives(data: DataModule) -> type:
    """The kind of spec that data have, known before they are loaded."""
    return get_type_hints(type(data).spec.fget)["return"]


def build_task(config: dict[str, Any], data: DataModule, trained: bool = False) -> Task:
    """The task of `config` around a model with fresh weights, drawn from the config's seed alone, or a base run's.

    Args:
        config: checked.
        data: loaded.
        trained: a checkpoint will be read into it afterwards.
    """
    pl.seed_everything(config["seed"], verbose=False)
    model_class = resolve(config["model"].get("_target_"), nn.Module, "model")
    kind = task_for(model_class)
    if config.get("finetune") and not kind.follows_gradient:
        raise UserError(f"finetune: {model_class.__name__} is solved, not trained; it starts from nothing")
    try:
        kind.check_trainer(config["trainer"])
        read = not trained and not config.get("finetune")  # a base run has the weights of the parts too
        spec = kind.model_spec(data.spec, config["loss"])
        if not trained:
            check_base(config, spec)
        model = build_model(config["model"], spec, read=read)
        finetune, adapters = prepare(model, config, trained)
        task = kind(model, config["loss"], config["optimizer"], data=data, seed=config["seed"])
    except ValueError as error:  # the own word of a model or a loss on arguments that do not go together
        raise UserError(str(error)) from None
    task.finetune, task.strict_loading = finetune, not adapters
    task.card = {"config": config, "spec": asdict(data.spec), "versions": versions()}
    return task
