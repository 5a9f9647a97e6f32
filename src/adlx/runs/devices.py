"""Checks of the settings by which Lightning chooses devices, before data are read and before a folder is made."""

import warnings
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import AcceleratorRegistry, CPUAccelerator
from pytorch_lightning.strategies import StrategyRegistry

from adlx.config.nodes import Node
from adlx.errors import UserError

# The run sets the first two. The others are not tried here, because they change settings of PyTorch.
_LEFT_OUT = ("threads", "enable_progress_bar", "deterministic", "benchmark", "detect_anomaly")
_DEVICE = ("accelerator", "devices", "precision", "strategy")


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Checks whether Lightning can make a trainer from the settings of `config.trainer`.

    Raises:
        UserError: one line that names the setting that this machine or Lightning refuses.
    """
    check_accelerator(settings.get("accelerator", "auto"))
    check_strategy(settings.get("strategy", "auto"))
    arguments = {key: value for key, value in settings.items() if key not in _LEFT_OUT}
    if isinstance(arguments.get("profiler"), Node):
        del arguments["profiler"]
    if isinstance(strategy := arguments.get("strategy"), Node):
        arguments["strategy"] = strategy.build()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = pl.Trainer(**{**arguments, **quiet, "enable_model_summary": False})
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{named_settings(reason, settings)}: {reason}") from None
    if isinstance(trainer.accelerator, CPUAccelerator):
        check_precision_of_cpu(str(settings.get("precision")))


def check_accelerator(name: Any) -> None:
    """Raises UserError for an accelerator that Lightning does not know or that this machine lacks."""
    kinds = sorted(AcceleratorRegistry.available_accelerators())
    known = ["auto", *kinds, "gpu"]
    if name not in known:
        raise UserError(f"trainer.accelerator={name}: must be one of {', '.join(known)}")
    present = [kind for kind in kinds if AcceleratorRegistry[kind]["accelerator"].is_available()]
    accepted = {"auto": present, "gpu": ["cuda", "mps"]}.get(name, [name])
    if not set(accepted) & set(present):
        raise UserError(
            f"trainer.accelerator={name}: PyTorch finds none on this machine; it finds {', '.join(present)}. "
            "trainer.accelerator=auto uses the best one"
        )


def check_strategy(name: Any) -> None:
    """Raises UserError for the name of a strategy that Lightning does not know."""
    known = ["auto", *sorted(StrategyRegistry.available_strategies())]
    if not isinstance(name, Node) and name not in known:
        raise UserError(f"trainer.strategy={name}: must be one of {', '.join(known)}")


def check_precision_of_cpu(precision: str) -> None:
    """Raises UserError for mixed precision with float16, which Lightning would silently change on a CPU."""
    if precision in ("16", "16-mixed"):
        raise UserError(f"trainer.precision={precision} needs a GPU; on a CPU use bf16-mixed or 32-true")


def named_settings(reason: str, settings: Mapping[str, Any]) -> str:
    """The settings that an error of Lightning names, such as `trainer.accelerator=gpu`; else those of the device."""
    text = reason.lower().replace("_", "-")
    values = {key: str(value).lower() for key, value in settings.items() if isinstance(value, str) and value}
    keys = [key for key in settings if key in reason] or [key for key in values if values[key] in text]
    keys = keys or [key for key in _DEVICE if key in settings]
    return ", ".join(f"trainer.{key}={settings[key]}" for key in keys) or "trainer"
