"""The first weights of a new run: random from its seed, or copied from its base run or from the runs of its parts."""

import logging
from collections.abc import Sequence
from typing import Any

from torch import nn

from adlx.config.nodes import CheckedConfig
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.runs.build import build_model, build_task, model_spec, seed_everything
from adlx.runs.checkpoints import load_card
from adlx.runs.finetune import Finetune, check_fits_base
from adlx.runs.parts import check_parts_of_base, restore_parts
from adlx.runs.restore import find_base_run, load_base_run, spec_from, with_facts
from adlx.tasks.task import Task

log = logging.getLogger("adlx")


def new_task(config: CheckedConfig, data: DataModule) -> Task:
    """Builds the task of a new run, with a model that has its first weights.

    Args:
        config: with identified parts; for fine-tuning, with the arguments of the base's model.
        data: the loaded data.
    """
    seed_everything(config)
    spec = model_spec(config, data.spec)
    check_parts_of_base(config, spec)
    # A fine-tuned model copies all weights from the base, also those of its parts.
    parts = {} if config.finetune else restore_parts(config, spec)
    model = build_model(config.model, spec, parts)
    facts = _start_from_base(model, config) if config.finetune else {}
    if facts:
        config.plain["finetune"]["sha256"] = facts["sha256"]
    return with_facts(build_task(config, data, model), config, data, facts)


def follow_base(data: DataModule, config: CheckedConfig) -> None:
    """Shows the data of a new run, not loaded yet, what the base run was trained on."""
    if config.finetune is not None:
        run = find_base_run(config.plain["finetune"]["run"])
        run.require_finished("finetune.run")
        data.base_spec = spec_from(load_card(run.checkpoint)["spec"], run.checkpoint)


def _start_from_base(model: nn.Module, config: CheckedConfig) -> dict[str, Any]:
    assert config.finetune is not None
    strategy: Finetune = config.finetune.build()
    base = load_base_run(strategy.run, strategy.sha256)
    check_fits_base(build_model(config.model, base.spec).state_dict(), base)
    try:
        return strategy.start(model, base)
    except ValueError as error:
        raise UserError(str(error)) from None


def with_base_arguments(config: CheckedConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """The plain config of a fine-tuned run: model arguments that the command line does not set come from the base.

    The fine-tuned model must be built like the base's model, which may differ from the defaults of its config file.
    """
    run = find_base_run(config.plain["finetune"]["run"])
    base, own = run.config["model"], config.plain["model"]
    if base.get("_target_") != own.get("_target_"):
        names = [str(node.get("_target_")).rpartition(".")[2] for node in (base, own)]
        raise UserError(f"finetune.run={run.path} is a {names[0]}, and model={names[1]}: choose the same model")
    set_by_user = {word.lstrip("+").split("=")[0] for word in overrides}
    inherited = {
        key: value for key, value in base.items() if own.get(key) != value and f"model.{key}" not in set_by_user
    }
    if inherited:
        shown = {key: value.get("run", value) if isinstance(value, dict) else value for key, value in inherited.items()}
        log.info(f"same as in {run.path}: " + ", ".join(f"model.{key}={value}" for key, value in shown.items()))
    return {**config.plain, "model": {**own, **inherited}}
