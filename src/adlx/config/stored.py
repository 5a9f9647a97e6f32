"""Checks a stored config, since people edit `config.yaml` by hand, and other versions of adlx write it."""

from typing import Any

from adlx.config.catalog import NODES, ROOT_KEYS
from adlx.config.nearest import did_you_mean
from adlx.errors import UserError

_PLAIN = str | int | float | bool | None


def check_stored_config(config: Any, where: str) -> dict[str, Any]:
    """Checks that a stored config has all nodes and only plain values; `check` then checks each node.

    Args:
        config: as it was read.
        where: the file, for the message.

    Returns:
        The same config.

    Raises:
        UserError: one line that names the file, the key and the value.
    """
    if not isinstance(config, dict):
        raise UserError(f"{where} is not a config of adlx: it must hold the keys {', '.join(NODES)}")
    if missing := [name for name in (*NODES, "seed") if name not in config]:
        raise UserError(f"{where} is not a config of adlx: it lacks {', '.join(missing)}")
    if unknown := sorted(map(str, config.keys() - set(ROOT_KEYS))):
        raise UserError(f"{where}: unknown key {unknown[0]}{did_you_mean(unknown[0], config)}")
    for name in NODES:
        if not isinstance(config[name], dict):
            raise UserError(f"{where}: {name} is {_short(config[name])}, and must be a node with keys and values")
    if type(config["seed"]) is not int:
        raise UserError(f"{where}: seed is {_short(config['seed'])}, and must be a whole number")
    if not isinstance(config.get("output_dir", ""), str):
        raise UserError(f"{where}: output_dir is {_short(config['output_dir'])}, and must be the path of a folder")
    allow = config.get("allow", [])
    if not isinstance(allow, list) or not all(isinstance(package, str) for package in allow):
        raise UserError(f"{where}: allow is {_short(allow)}, and must be a list of package names")
    check_plain(config, "", where)
    return config


def check_plain(value: Any, key: str, where: str) -> None:
    """Raises UserError if `value`, or anything inside it, is neither a number, text, true, false nor null."""
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f"{key}.{name}".lstrip(".")
            if not isinstance(name, str):
                raise UserError(f"{where}: the key {path} must be text: write it in quotes")
            check_plain(inner, path, where)
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            check_plain(inner, f"{key}[{position}]", where)
    elif not isinstance(value, _PLAIN):
        raise UserError(f"{where}: {key} is {_short(value)}, and must be a number, text, true, false or null")


def _short(value: Any) -> str:
    return " ".join(repr(value)[:60].split())
