"""The facts in `run.json`, checked when a run folder is opened: people edit the file by hand."""

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
    """Checks the facts that commands rely on.

    Args:
        info: the content of a `run.json`.
        path: the file, for the message.

    Returns:
        The same facts.

    Raises:
        UserError: one line that names the file, the fact and its value.
    """
    if not isinstance(info, dict):
        raise UserError(f"{path} is not of a run: it must hold {', '.join(_REQUIRED)}")
    if missing := [name for name in _REQUIRED if name not in info]:
        raise UserError(f"{path} is not of a run: it lacks {', '.join(missing)}")
    for name, (kind, words) in (_REQUIRED | _OPTIONAL).items():
        if name in info and (not isinstance(info[name], kind) or isinstance(info[name], bool)):
            raise UserError(f"{path}: {name} is {json.dumps(info[name])[:60]}, and must be {words}")
    if missing := [name for name in ("model", "data") if not isinstance(info["choices"].get(name), str)]:
        raise UserError(f"{path} is not of a run: its choices lack {', '.join(missing)}")
    return info
