"""Models that are built around the model of another run, such as a forecaster of what an autoencoder makes.

In a config such a part is the folder of the run; once that has been read, it is a node that says all: `run`, `sha256`
of its weights, and `model`, the node it was built from. What is built around it holds its weights, and so do its
checkpoints: the other run is needed once alone.
"""

import hashlib
import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from adlx.config.targets import build, parameters, resolve
from adlx.errors import UserError
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.folder import Run
from adlx.specs import spec_of


def parts_of(node: dict[str, Any]) -> dict[str, type[nn.Module]]:
    """The arguments of a model that are models themselves, with their kinds."""
    accepted = parameters(resolve(node.get("_target_"), nn.Module, "model"))
    return {name: hint for name, (hint, _) in accepted.items() if inspect.isclass(hint) and issubclass(hint, nn.Module)}


def read_parts(config: dict[str, Any]) -> None:
    """Puts the node of each part in the place of its run's folder.

    Raises:
        UserError: a part is not said, is no run, is unfinished or of another kind.
    """
    node = config["model"]
    for name, kind in parts_of(node).items():
        value = node.get(name)
        if value is None:
            raise UserError(f"model.{name} is required: add model.{name}=RUN, the folder of a run")
        if isinstance(value, dict):
            continue
        if not Path(value).is_dir():
            raise UserError(f"model.{name}={value} is not there: it must be the folder of a run")
        run = Run.open(value)
        if run.status != "finished":
            raise UserError(f"model.{name}={value} is {run.status}, not finished: adlx resume {value}")
        checkpoint = load_checkpoint(run.best if run.best.is_file() else run.last)
        model = checkpoint["adlx"]["config"]["model"]
        resolve(model.get("_target_"), kind, f"model.{name}={value}: its model")
        _check_same(config, name, digest(run))
        node[name] = {"run": str(run.path.absolute()), "sha256": digest(run), "model": model}


def _check_same(config: dict[str, Any], name: str, sha256: str) -> None:
    """Raises UserError where the run that fine-tuning takes all weights of has another part."""
    if not config["finetune"]:
        return
    base = Run.open(config["finetune"]["run"])
    part = base.config["model"].get(name)
    if isinstance(part, dict) and part["sha256"] != sha256:
        raise UserError(
            f"model.{name}={config['model'][name]} is not what {base.path} was built around: leave model.{name} out"
        )


def _check_spec(known: Any, spec: Any, where: str) -> None:
    """Raises UserError where a part is of other data than the model around it; parameters alone may differ."""
    for name in (field.name for field in fields(spec) if field.name not in ("parameters", "coordinates")):
        there, here = (getattr(each, name, None) for each in (known, spec))
        if there != here:
            raise UserError(f"{where} is of other data: {name} is {there} there and {here} here")
    places = getattr(known, "coordinates", None)
    if places is not None and not np.allclose(places, spec.coordinates):
        raise UserError(f"{where} is of other data: its cells lie at other places")


def check_base(config: dict[str, Any], spec: Any) -> None:
    """Raises UserError where the run that fine-tuning starts from has parts for other data: nothing trains them."""
    for name in parts_of(config["model"]) if config.get("finetune") else ():
        run = Run.open(config["finetune"]["run"])
        card = load_checkpoint(run.best if run.best.is_file() else run.last)["adlx"]
        _check_spec(spec_of(card["spec"]), spec, f"model.{name} of finetune.run={run.path}")


def digest(run: Run) -> str:
    return hashlib.sha256((run.best if run.best.is_file() else run.last).read_bytes()).hexdigest()


def build_model(node: dict[str, Any], spec: Any, read: bool) -> nn.Module:
    """A model with its parts.

    Args:
        node: of a config whose parts were read.
        spec: of the data.
        read: give the parts their trained weights; without, a checkpoint brings them afterwards.

    Raises:
        UserError: a part's run is not there any more, has changed, or is of other data.
    """
    from adlx.runs.finetune import restored  # which itself builds models

    parts = {}
    for name, kind in parts_of(node).items():
        part = node[name]
        parts[name] = build(part["model"], kind, f"model.{name}", spec)
        if read:
            run = Run.open(part["run"])
            if digest(run) != part["sha256"]:
                raise UserError(f"model.{name}={part['run']} has changed: its weights are not those it had before")
            trained, card = restored(run)
            _check_spec(spec_of(card["spec"]), spec, f"model.{name}={part['run']}")
            parts[name].load_state_dict(trained.state_dict())
    rest = {key: value for key, value in node.items() if key not in parts}
    return build(rest, nn.Module, "model", spec, **parts)
