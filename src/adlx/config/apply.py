"""Applies words of a command to the stored config of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from adlx.config.catalog import NODES, ROOT_KEYS, config_folder, extensions
from adlx.config.compose import plain_values, search_path
from adlx.config.hydra_errors import readable_errors
from adlx.config.nearest import did_you_mean
from adlx.config.paths import path_keys
from adlx.config.words import is_choice, settings, split
from adlx.errors import UserError


def apply(
    config: dict[str, Any], words: Sequence[str], folders: Sequence[Path] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Applies words to a stored config: settings of its nodes, or another choice, such as `data=NAME`.

    Args:
        config: a config of plain values; it is not changed.
        words: overrides, as on the command line.
        folders: folders of config files, in addition to those of adlx and of installed packages.

    Returns:
        the new config, and the packages that the words allow.
    """
    with readable_errors(words, folders):
        tree = OmegaConf.create(config)
        allow: list[str] = []
        parser = OverridesParser.create()
        for override in parser.parse_overrides([word for word in words if is_choice(split(word)[1])]):
            _refuse_several(override)
            tree[override.key_or_group] = _option(override.key_or_group, str(override.value()), folders)
        paths = path_keys(plain_values(tree, resolve=False))
        rest = settings([word for word in words if not is_choice(split(word)[1])], paths)
        for override in parser.parse_overrides(rest):
            _refuse_several(override)
            key, value = override.key_or_group, override.value()
            if key == "allow":
                allow = [str(name) for name in (value if isinstance(value, list) else [value])]
            elif key in ROOT_KEYS or key.split(".")[0] in NODES:
                OmegaConf.update(tree, key, value, force_add=True)
            else:
                raise UserError(f"unknown key {key}{did_you_mean(key, config)}")
        return plain_values(tree, resolve=True), allow


def _refuse_several(override: Override) -> None:
    if override.is_sweep_override():
        word = str(override.input_line).removeprefix("++")
        raise UserError(f"{word}: one value is needed; only adlx train -m accepts several")


def _option(group: str, name: str, folders: Sequence[Path]) -> DictConfig:
    """The node of one choice, composed without the rest of the config."""
    GlobalHydra.instance().clear()
    overrides = [f"+{group}={name}", *search_path([*extensions().values(), *folders])]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return hydra_compose(overrides=overrides)[group]
