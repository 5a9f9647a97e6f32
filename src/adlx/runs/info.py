"""Checks of `run.json` and `metrics.json` when they are read: people edit these files by hand."""

import json
from typing import Any

from adlx.errors import UserError

_REQUIRED = {
    "status": (str, "text"),
    "choices": (dict, "an object"),
    "seed": (int, "a number"),
    "data": (dict, "an object"),
}
_OPTIONAL = {
    "result": (str, "text"),
    "threads": (int, "a number"),
    "config_folders": (list, "a list"),
    "finetune": (dict, "an object"),
}


def check_info(info: Any, path: str) -> dict[str, Any]:
    """Checks the facts that commands need, and returns them.

    Args:
        info: the content of a `run.json`.
        path: the file, for the message.

    Raises:
        UserError: one line that names the file, the fact and its value.
    """
    if not isinstance(info, dict):
        raise UserError(f"{path} must hold {', '.join(_REQUIRED)}")
    if missing := [name for name in _REQUIRED if name not in info]:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    for name, (kind, words) in (_REQUIRED | _OPTIONAL).items():
        if name in info and (not isinstance(info[name], kind) or isinstance(info[name], bool)):
            raise UserError(f"{path}: {name} is {json.dumps(info[name])[:60]}, and must be {words}")
    if missing := [name for name in ("model", "data") if not isinstance(info["choices"].get(name), str)]:
        raise UserError(f"{path}: choices lacks the name of {' and '.join(missing)}")
    for name in ("source", "fingerprint"):
        if not isinstance(value := info["data"].get(name, ""), str):
            raise UserError(f"{path}: data.{name} is {json.dumps(value)[:60]}, and must be text")
    if not all(isinstance(folder, str) for folder in info.get("config_folders", ())):
        raise UserError(f"{path}: config_folders must be a list of folders")
    return info


def check_metrics(metrics: Any, path: str) -> dict[str, float]:
    """Checks the content of a `metrics.json` and returns it.

    Raises:
        UserError: one line that names the file, the metric and its value.
    """
    if not isinstance(metrics, dict):
        raise UserError(f"{path} must hold an object with a number for each metric")
    for name, value in metrics.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UserError(f"{path}: {name} is {json.dumps(value)[:60]}, and must be a number")
    return metrics
