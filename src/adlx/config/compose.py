"""Composes the words of a command into a config of plain values; `check` then checks it."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adlx.config.catalog import ROOT_KEYS, config_folder, config_folders, extensions, options
from adlx.config.config_dirs import config_dir_words, split_config_dirs
from adlx.config.hydra_errors import readable_errors
from adlx.config.hydra_internals import flags, flags_error, grid_jobs
from adlx.config.nearest import did_you_mean, nearest_key
from adlx.config.origin import file_that_sets
from adlx.config.paths import path_keys
from adlx.config.words import (
    as_typed,
    check_word,
    is_choice,
    is_setting,
    needs_reading,
    quote,
    refuse_sweeps,
    settings,
    split,
)
from adlx.errors import UserError


@dataclass
class Config:
    """The schema of the root. Any other key is a mistake, on the command line and in a file."""

    model: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    task: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    finetune: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    seed: Any = 0  # checked later, like `output_dir` and `allow`, with messages of adlx instead of OmegaConf
    output_dir: Any = "outputs"
    allow: Any = field(default_factory=list)


ConfigStore.instance().store(name="schema", node=Config)


@dataclass(frozen=True)
class Composition:
    """A config and its origin.

    Args:
        config: plain dicts, lists, numbers and strings; interpolations resolved.
        choices: the option chosen in each group, such as `{"model": "NAME"}`.
        overrides: the words of the command line.
        folders: the folders of config files that were searched.
        missing: required keys without a value, see `require_values`.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    folders: list[Path]
    missing: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that runs this config again."""
        return shlex.join(["adlx", "train", *config_dir_words(self.user_folders), *self.overrides])

    @property
    def user_folders(self) -> list[Path]:
        """The folders of config files that the user named with `--config-dir`."""
        return user_folders(self.folders)

    @property
    def name(self) -> str:
        return f"{self.choices['model']}-{self.choices['data']}"

    def require_values(self) -> None:
        """Raises UserError for a required key without a value. Call this after the check that the choices fit."""
        for key in self.missing:
            raise UserError(f"{key} is required: add {key}=VALUE")

    def origin(self, key: str) -> str:
        """Where `key` (dotted) was set, for messages: `on the command line (...)` or `in model/NAME.yaml`."""
        for word in reversed(self.overrides):  # the last word wins
            _, name, value = split(word)
            if name == key or name.startswith(f"{key}.") or (key.startswith(f"{name}.") and value.startswith("{")):
                return f"on the command line ({word})"
        path = file_that_sets(key, self.choices, self.folders)
        group = key.split(".")[0]
        return f"in {path}" if path else f"in {group}={self.choices.get(group, '?')}"


def search_path(folders: Sequence[Path]) -> list[str]:
    """The word that makes Hydra search further config folders; no word if there are none."""
    entries = [quote(f"file://{folder}") for folder in folders]
    return [f"hydra.searchpath=[{','.join(entries)}]"] if folders else []


def for_hydra(words: Sequence[str], folders: Sequence[Path] = (), multirun: bool = False) -> list[str]:
    """The words of a user in the form that Hydra needs, see `words.settings`.

    Args:
        words: without `--config-dir`.
        folders: the user's own folders of config files.
        multirun: commas separate the values of several runs.

    Raises:
        UserError: a word is no setting, or has several values without `-m`.
    """
    refuse_flags(words, folders)
    for word in words:
        check_word(word)
    paths = {"output_dir"}
    if any(needs_reading(word) for word in words):
        paths = _paths_of_choices(_choices(words), folders)
    if not multirun:
        refuse_sweeps(words, paths)
    return settings(words, paths, multirun)


def refuse_flags(words: Sequence[str], folders: Sequence[Path] = ()) -> None:
    """Raises UserError for a setting that is written as a flag, such as `--epochs 3`, and for a flag without value."""
    known = flags()
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not name.startswith("-") or name in known:
            continue
        if close := get_close_matches(name.replace("_", "-"), known, n=1, cutoff=0.8):
            raise UserError(f"{word}: no such flag; did you mean {close[0]}?")
        following = words[at + 1] if at + 1 < len(words) else "-"
        if not equals and not following.startswith("-") and "=" not in following:
            word, value = f"{word} {following}", following
        key = name.lstrip("-")
        if not is_choice(key):
            for config in _configs_of_choices(_choices(words), folders)[:1]:
                root = {name: config[name] for name in ROOT_KEYS}
                key = key if key.split(".")[0] in root else nearest_key(key, root) or key
        raise UserError(f"{word}: settings are written without dashes: {key}={value or 'VALUE'}")
    if error := flags_error([word for word in words if word[:1] == "-" or ("=" not in word and word[:1] != "~")]):
        raise UserError(error)


def _choices(words: Sequence[str]) -> list[str]:
    return [word for word in words if "=" in word and word[:1] not in "-~" and not is_setting(word)]


def _paths_of_choices(choices: list[str], folders: Sequence[Path]) -> set[str]:
    """The keys that are paths in at least one of the configs that these choices make."""
    return {"output_dir"}.union(*(path_keys(config) for config in _configs_of_choices(choices, folders)))


def _configs_of_choices(choices: list[str], folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The configs that choices make, without settings. Empty if a choice is wrong, which `compose` reports later."""
    with suppress(HydraException, OmegaConfBaseException):
        return [plain_values(_composed(job, folders), resolve=False) for job in grid_jobs(choices)]
    return []


def _composed(overrides: Sequence[str], folders: Sequence[Path]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = [*overrides, *search_path([*extensions().values(), *folders])]
        return hydra_compose("train", overrides=words, return_hydra_config=True)


def compose(words: Sequence[str], complete: bool = True) -> Composition:
    """Composes the config of `adlx train WORDS...`; the words may contain `--config-dir DIR`.

    Args:
        words: of the command line.
        complete: whether to refuse a config that lacks a required key; if not, call `require_values` later.

    Raises:
        UserError: a choice or key is unknown, or a value is missing or cannot be read.
    """
    others, folders = split_config_dirs(words)
    with readable_errors(others, folders):
        composed = composition(_composed(for_hydra(others, folders), folders), others)
    if complete:
        composed.require_values()
    return composed


def composition(cfg: DictConfig, words: Sequence[str] | None = None) -> Composition:
    """The composition of a Hydra config, which may lack required keys.

    Args:
        cfg: a config with its `hydra` node; while Hydra runs a job, the node is not needed.
        words: the words as the user typed them; None: the words of the job that Hydra runs.
    """
    hydra = cfg.hydra if "hydra" in cfg else HydraConfig.get()
    choices = {str(key): str(choice) for key, choice in hydra.runtime.choices.items() if choice}
    tree: dict[str, Any] = {}
    missing: list[str] = []
    for key in ROOT_KEYS:
        if OmegaConf.is_missing(cfg, key):
            raise UserError(f"{key} is not chosen: add {key}=NAME, one of {', '.join(options(key))}")
        value = cfg[key]
        if OmegaConf.is_config(value):
            names = sorted(OmegaConf.missing_keys(value))
            missing += [name if name.startswith(f"{key}.") else f"{key}.{name}" for name in names]
        tree[key] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    if isinstance(tree["allow"], str):
        tree["allow"] = [tree["allow"]]
    if not isinstance(tree["allow"], list) or not all(isinstance(package, str) for package in tree["allow"]):
        raise UserError(f"allow={tree['allow']}: must be a list of package names, as in allow=[my_package]")
    if not isinstance(tree["output_dir"], str | int):
        raise UserError(f"output_dir={tree['output_dir']}: must be the path of a folder")
    chosen = {key: choice for key, choice in choices.items() if not key.startswith("hydra")}
    if words is None:
        words = [as_typed(word) for word in hydra.overrides.task]
    typed = [word.removeprefix("++") for word in words if not split(word)[1].startswith("hydra.")]
    result = Composition(tree, chosen, typed, file_folders(hydra), tuple(missing))
    for key in cfg:
        if key not in ROOT_KEYS and key != "hydra":
            raise UserError(_unknown_key(str(key), result))
    return result


def _unknown_key(root: str, composed: Composition) -> str:
    words = (word for word in composed.overrides if split(word)[1].split(".")[0] == root)
    word = next(words, None)
    key = root if word is None else split(word)[1]
    where = f" on the command line ({word})" if word else ""
    return f"unknown key {key}{where}{did_you_mean(key, composed.config)}"


def file_folders(hydra: Any) -> list[Path]:
    """The absolute folders in which Hydra searched for config files; `hydra` is that node of a composed config."""
    return [Path(source.path).absolute() for source in hydra.runtime.config_sources if source.schema == "file"]


def user_folders(folders: Sequence[Path]) -> list[Path]:
    """The folders that belong neither to adlx nor to an installed package."""
    return [folder for folder in folders if folder not in config_folders()]


def plain_values(tree: DictConfig, resolve: bool) -> dict[str, Any]:
    plain = OmegaConf.to_container(tree, resolve=resolve)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
