"""Models that contain the model of another run, such as a forecaster in the latent space of an autoencoder.

The user gives such a part as the folder of the other run. When that run is read, a node with three keys replaces the
folder: `run`, the `sha256` of its weights, and `model`, the node of its model. A checkpoint of the outer model contains
the weights of the part, so the other run is needed only once.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from adlx.config.nodes import CheckedConfig, Part
from adlx.config.targets import resolve
from adlx.errors import UserError
from adlx.runs.build import build_model
from adlx.runs.checkpoints import load_card
from adlx.runs.folder import RunFolder
from adlx.runs.restore import checkpoint_digest, restore_model, spec_from
from adlx.specs import Spec


def identify_parts(config: CheckedConfig) -> dict[str, Any]:
    """The plain config, in which the node of each part replaces the folder of its run.

    Raises:
        UserError: a part is missing, is not a run, has not finished, or its model is of the wrong class.
    """
    nodes: dict[str, Any] = {}
    for name, part in config.parts.items():
        if not part.run:
            raise UserError(f"model.{name} is required: add model.{name}=RUN, the folder of a run")
        if part.model is None:
            nodes[name] = _identified(config, name, part)
    return {**config.plain, "model": {**config.plain["model"], **nodes}}


def _identified(config: CheckedConfig, name: str, part: Part) -> dict[str, Any]:
    if not Path(part.run).is_dir():
        raise UserError(f"model.{name}={part.run} is not there: it must be the folder of a run")
    run = RunFolder.open(part.run)
    run.require_finished(f"model.{name}")
    model = load_card(run.checkpoint)["config"]["model"]
    resolve(model.get("_target_"), part.kind, f"model.{name}={part.run}: its model")
    sha256 = checkpoint_digest(run)
    _check_same_as_base(config, name, part, sha256)
    return {"run": str(run.path.absolute()), "sha256": sha256, "model": model}


def _check_same_as_base(config: CheckedConfig, name: str, part: Part, sha256: str) -> None:
    """Raises UserError if the base run, whose weights fine-tuning copies, contains another part."""
    if config.finetune is None:
        return
    base = RunFolder.open(config.finetune.arguments["run"])
    theirs = base.config["model"].get(name)
    if isinstance(theirs, dict) and theirs["sha256"] != sha256:
        raise UserError(f"model.{name}={part.run} is not the run that {base.path} contains: leave model.{name} out")


def restore_parts(config: CheckedConfig, spec: Spec) -> dict[str, nn.Module]:
    """The parts, built for these data, with their trained weights.

    Args:
        config: with identified parts.
        spec: the dimensions of the data.

    Raises:
        UserError: the run of a part is missing, has changed, or was trained on data of other dimensions.
    """
    models = {}
    for name, part in config.parts.items():
        run = RunFolder.open(part.run)
        if checkpoint_digest(run) != part.sha256:
            raise UserError(f"model.{name}={part.run} has changed: its weights are not the same as before")
        assert part.model is not None
        models[name] = build_model(part.model, spec)
        restored = restore_model(run)
        _check_spec(restored.spec, spec, f"model.{name}={part.run}")
        models[name].load_state_dict(restored.model.state_dict())
    return models


def check_parts_of_base(config: CheckedConfig, spec: Spec) -> None:
    """Raises UserError if the base run has parts for data of other dimensions: fine-tuning does not train them."""
    if config.finetune is None:
        return
    for name in config.parts:
        run = RunFolder.open(config.finetune.arguments["run"])
        known = spec_from(load_card(run.checkpoint)["spec"], run.checkpoint)
        _check_spec(known, spec, f"model.{name} of finetune.run={run.path}")


def _check_spec(known: Spec, spec: Spec, where: str) -> None:
    """Raises UserError if a part was trained on data of other dimensions. Only the physical parameters may differ."""
    for name in (field.name for field in fields(spec) if field.name not in ("parameters", "coordinates")):  # type: ignore[arg-type]
        there, here = (getattr(each, name, None) for each in (known, spec))
        if there != here:
            raise UserError(f"{where} was trained on other data: {name} is {there} there and {here} here")
    coordinates = getattr(known, "coordinates", None)
    if coordinates is not None and not np.allclose(coordinates, spec.coordinates):  # type: ignore[attr-defined]
        raise UserError(f"{where} was trained on other data: its cells have other coordinates")
