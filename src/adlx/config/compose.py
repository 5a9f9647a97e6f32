"""From the words of a command to a checked config: Hydra composes, `check` refuses, plain dicts come out."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adlx.config.catalog import GROUPS, NODES, config_folder, config_folders, extensions, options
from adlx.config.config_dirs import config_dir_words, split_config_dirs
from adlx.config.nearest import nearest
from adlx.errors import UserError


@dataclass
class Config:
    """The schema of the root: a key that is not here is a mistake, wherever it was written."""

    model: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    task: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    finetune: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    output_dir: str = "outputs"
    allow: list[str] = field(default_factory=list)


ConfigStore.instance().store(name="schema", node=Config)


@dataclass(frozen=True)
class Composition:
    """A config and where it came from.

    Args:
        config: plain dicts, lists, numbers and strings; interpolations resolved.
        choices: the option chosen in each group, such as `{"model": "NAME"}`.
        overrides: the words of the command line.
        folders: where config files were looked for.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    folders: list[Path]

    @property
    def command(self) -> str:
        """What a user would type to run this again."""
        return shlex.join(["adlx", "train", *config_dir_words(self.user_folders), *self.overrides])

    @property
    def user_folders(self) -> list[Path]:
        """Folders of config files that neither adlx nor an installed package brings: the user's `--config-dir`."""
        return user_folders(self.folders)

    @property
    def name(self) -> str:
        return f"{self.choices['model']}-{self.choices['data']}"

    def origin(self, key: str) -> str:
        """Where `key` (dotted) was set, for messages: `on the command line (...)` or `in model/NAME.yaml`."""
        for word in self.overrides:
            name, _, value = word.partition("=")
            if name == key or (key.startswith(f"{name}.") and value.startswith("{")):
                return f"on the command line ({word})"
        group = key.split(".")[0]
        files = [("experiment", self.choices.get("experiment")), (group, self.choices.get(group)), ("", "train")]
        for file_group, choice in files:
            for folder in self.folders:
                path = folder / file_group / f"{choice}.yaml"
                inner = key if file_group in ("experiment", "") else key.partition(".")[2]
                if choice and path.is_file() and inner and _sets(OmegaConf.load(path), inner):
                    return f"in {path.relative_to(folder)}"
        return f"in {group}={self.choices.get(group, '?')}"


def _sets(node: Any, key: str) -> bool:
    absent = object()
    return OmegaConf.select(node, key, default=absent) is not absent


def loosen(words: Sequence[str]) -> list[str]:
    """Lets `model.dropout=0.1` set an argument that the YAML does not list: `check` knows them all, Hydra does not."""
    return [re.sub(rf"^(?=({'|'.join(NODES)})\.[\w./]+=)", "++", word) for word in words]


def search_path(folders: Sequence[Path]) -> list[str]:
    """The word by which Hydra looks into further config folders too; no word where there are none."""
    entries = [quoted(f"file://{folder}") for folder in folders]
    return [f"hydra.searchpath=[{','.join(entries)}]"] if folders else []


def quoted(text: object) -> str:
    """A text as Hydra's grammar writes it, whatever characters it holds."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", str(text))
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def compose(words: Sequence[str]) -> Composition:
    """Composes the config that `adlx train WORDS...` would run, `--config-dir DIR` included.

    Raises:
        UserError: an unknown choice or key, a value that cannot be read, a missing mandatory one.
    """
    words, folders = split_config_dirs(words)
    with readable_errors(words, folders):
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            overrides = [*loosen(words), *search_path([*extensions().values(), *folders])]
            return composition(hydra_compose("train", overrides=overrides, return_hydra_config=True))


def composition(cfg: DictConfig) -> Composition:
    """Plain data of a composed Hydra config, `hydra` node and all."""
    hydra = cfg.hydra if "hydra" in cfg else HydraConfig.get()
    choices = {str(key): str(choice) for key, choice in hydra.runtime.choices.items() if choice}
    tree = {}
    for key in Config.__dataclass_fields__:
        if OmegaConf.is_missing(cfg, key):
            raise UserError(f"{key} is not chosen: add {key}=NAME, one of {', '.join(options(key))}")
        value = cfg[key]
        if OmegaConf.is_config(value):
            for missing in sorted(OmegaConf.missing_keys(value)):
                full = missing if missing.startswith(f"{key}.") else f"{key}.{missing}"
                raise UserError(f"{full} is required: add {full}=VALUE")
        tree[key] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    chosen = {key: choice for key, choice in choices.items() if not key.startswith("hydra")}
    words = [word.removeprefix("++") for word in hydra.overrides.task]
    return Composition(tree, chosen, words, file_folders(hydra))


def file_folders(hydra: Any) -> list[Path]:
    """The absolute folders in which Hydra looked for config files; `hydra` is its own node of a composed config."""
    return [Path(source.path).absolute() for source in hydra.runtime.config_sources if source.schema == "file"]


def user_folders(folders: Sequence[Path]) -> list[Path]:
    """Those that neither adlx nor an installed package brings."""
    return [folder for folder in folders if folder not in config_folders()]


def apply(
    config: dict[str, Any], words: Sequence[str], folders: Sequence[Path] = ()
) -> tuple[dict[str, Any], list[str]]:
    """A stored config with `k=v` words applied: keys of its nodes, or another choice of data by `data=NAME`.

    Args:
        config: plain.
        words: overrides.
        folders: of config files, beside those of adlx and of installed packages.

    Returns:
        the new config, and the packages that the words allow.
    """
    with readable_errors(words, folders):
        tree = OmegaConf.create(config)
        allow: list[str] = []
        overrides = OverridesParser.create().parse_overrides(loosen(words))
        for override in sorted(overrides, key=lambda o: o.key_or_group not in NODES):  # as Hydra: choices, then keys
            key, value = override.key_or_group, override.value()
            group = key.split(".")[0]
            if override.is_sweep_override():
                word = str(override.input_line).removeprefix("++")
                raise UserError(f"{word}: one value here; several are for adlx train -m")
            if key == "allow":
                allow = [str(name) for name in (value if isinstance(value, list) else [value])]
            elif key in NODES:
                tree[key] = _option(key, str(value), folders)
            elif key in Config.__dataclass_fields__ or group in NODES:
                OmegaConf.update(tree, key, value, force_add=True)
            else:
                raise UserError(f"unknown key {key}{nearest(group, Config.__dataclass_fields__)}")
        plain = OmegaConf.to_container(tree, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, allow


def _option(group: str, name: str, folders: Sequence[Path]) -> DictConfig:
    """The composed node of one choice, by itself."""
    GlobalHydra.instance().clear()
    overrides = [f"+{group}={name}", *search_path([*extensions().values(), *folders])]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return hydra_compose(overrides=overrides)[group]


@contextmanager
def readable_errors(words: Sequence[str], folders: Sequence[Path] = ()) -> Iterator[None]:
    """Turns Hydra's and OmegaConf's exceptions into one line each; `folders` hold further config files."""
    try:
        yield
    except MissingConfigException as error:
        raise UserError(_unknown_choice(error, [*config_folders(), *folders])) from None
    except OverrideParseException as error:
        word = str(error.override).removeprefix("++")
        raise UserError(f"{word}: cannot be read; write key=value, and quote special characters") from None
    except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, words)) from None


def _unknown_choice(error: MissingConfigException, folders: list[Path]) -> str:
    missing = error.missing_cfg_file
    group, _, name = str(missing).rpartition("/") if missing else ("", "", "")
    if group not in GROUPS:
        return _first_line(error)
    known = options(group, folders)
    return f"unknown {group}={name}{nearest(name, known)}; one of {', '.join(known)}"


def _explain(error: Exception, words: Sequence[str]) -> str:
    causes = [cause for cause in (error, error.__cause__) if cause is not None]
    text = " ".join(str(cause) for cause in causes)
    if match := re.search(r"You must specify '([\w/]+)'", text):
        group = match[1]
        return f"{group} is not chosen: add {group}=NAME, one of {', '.join(options(group))}"
    if match := re.search(r"Key '(\w+)' (?:not in|is not in)", text) or re.search(r"override '([\w./]+)'", text):
        key = match[1]
        where = next((f"on the command line ({word})" for word in words if key in word), "")
        full = getattr(error.__cause__ or error, "full_key", None) or key
        return f"unknown key {full} {where or _file_with(key)}{nearest(key, [*Config.__dataclass_fields__, *GROUPS])}"
    reason = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    full = getattr(reason, "full_key", None)
    return f"{full}: {_first_line(reason)}" if full else _first_line(reason)


def _file_with(key: str) -> str:
    for folder in config_folders():
        for path in sorted(folder.rglob("*.yaml")):
            if re.search(rf"^\s*{re.escape(key)}:", path.read_text(encoding="utf-8"), re.MULTILINE):
                return f"in {path.relative_to(folder)}"
    return "in a config file"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
