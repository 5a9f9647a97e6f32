"""Reads the settings of a config file with their values and comments, line by line, since Hydra would be slow.

Help and completion show them. Lines that cannot be read in this way, such as `x: {a: 1}`, are left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adlx.config.catalog import GROUPS, NODES, config_folder, options

_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?: +(?P<value>.*?))?(?:(?:^| +)#+ *(?P<comment>.*))?$")
_ENTRY = re.compile(r" *- +(?P<entry>.*?)(?: +#.*)?$")
_OPTION = re.compile(r"""["'`]?([\w.+-]+)["'`]?(?::? .*)?$""")


@dataclass(frozen=True)
class Setting:
    """One key of a config file.

    Args:
        value: as written; empty if the key has further keys below it.
        comment: the text after `#` on the same line.
        target: the dotted path of the class that has this argument; empty if unknown.
        name: the name of the argument.
    """

    value: str
    comment: str
    target: str
    name: str


@dataclass
class ConfigFile:
    """The content of a config file.

    Attributes:
        settings: by dotted key, relative to the node of the file's group.
        choices: the options that its `defaults` choose, by group, such as `{"loss": "NAME"}`.
        target: the dotted path of its class; empty if it has none.
    """

    settings: dict[str, Setting] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    target: str = ""


def read_config_file(path: Path, folders: Sequence[Path]) -> ConfigFile:
    """Reads a config file and the files that its `defaults` include; a file that cannot be read is empty.

    Args:
        path: a YAML file in the folder of its group.
        folders: all folders of config files, in which included files are searched.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ConfigFile()
    root = next((folder for folder in folders if path.is_relative_to(folder)), path.parent)
    group = path.parent.relative_to(root).as_posix()
    file = ConfigFile()
    for entry in _defaults(lines):
        _apply_default(file, entry, group, path, folders)
    targets = {key: value for key, value, _ in _keys(lines) if key.rpartition(".")[2] == "_target_"}
    for key, value, comment in _keys(lines):
        parent, _, name = key.rpartition(".")
        if name == "_target_":
            continue
        target = targets.get(f"{parent}._target_" if parent else "_target_", "")
        file.settings[key] = Setting(value, comment, target, name)
    file.target = targets.get("_target_", file.target)
    for key, setting in file.settings.items():  # an included file may not know the class
        if not setting.target and "." not in key:
            file.settings[key] = Setting(setting.value, setting.comment, file.target, setting.name)
    return file


def listed_values(setting: Setting) -> list[str]:
    """The values that the comment of a setting lists, such as `# post, pre`; empty if the comment lists none.

    Text may follow the list. The list is valid only if it contains the value of the file, or this value is `null`,
    `auto` or `???`. The meaning of a number may follow it, as in `# 1 grey, 3 colour`.
    """
    if setting.value in ("true", "false"):
        return ["true", "false"]
    text = re.sub(r"\([^)]*\)", "", setting.comment)
    text = re.sub(r"^(one of|either):? ", "", text.strip())
    if "," in text.partition(";")[0]:  # then text follows the semicolon
        text = text.partition(";")[0]
    values: list[str] = []
    for item in re.split(r"[,;|]| or ", text):
        match = _OPTION.match(item.strip())
        if match is None or (" " in item.strip() and ":" not in item and not match[1].lstrip("+-")[:1].isdigit()):
            break
        values.append(match[1].rstrip("."))
    own = setting.value.strip("\"'")
    if len(values) < 2 or own not in (*values, "null", "auto", "???"):
        return []
    return list(dict.fromkeys([*([] if own in ("null", "???") else [own]), *values]))


def _defaults(lines: Sequence[str]) -> Iterator[str]:
    """The entries of the `defaults` list."""
    inside = False
    for line in lines:
        if inside and (match := _ENTRY.match(line)):
            yield match["entry"]
        elif line.strip() and not line.lstrip().startswith("#"):
            inside = line.startswith("defaults:")


def _keys(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Dotted key, value and comment of each line that sets a key."""
    parents: list[tuple[int, str]] = []
    for line in lines:
        match = _KEY.match(line)
        if match is None:
            continue
        indent, key = len(match["indent"]), match["key"]
        while parents and parents[-1][0] >= indent:
            parents.pop()
        parents.append((indent, key))
        dotted = ".".join(name for _, name in parents)
        if dotted != "defaults":
            yield dotted, match["value"] or "", match["comment"] or ""


def _apply_default(file: ConfigFile, entry: str, group: str, path: Path, folders: Sequence[Path]) -> None:
    """Adds what an entry of `defaults` brings: the settings of an included file, or the choice of an option."""
    name, is_choice, option = entry.removeprefix("override ").removeprefix("optional ").partition(":")
    name, option = name.partition("@")[0].strip(), option.strip()
    if is_choice:
        chosen = next((one for one in (name.strip("/"), f"{group}/{name}") if one in GROUPS), "")
        if chosen and option not in ("", "???", "null"):
            file.choices[chosen] = option
        return
    inner = name.strip("/") if name.startswith("/") else f"{group}/{name}"
    included = next((one for one in (folder / f"{inner}.yaml" for folder in folders) if one.is_file()), None)
    if included is not None and included != path:
        other = read_config_file(included, folders)
        file.settings |= other.settings
        file.choices |= other.choices
        file.target = other.target or file.target


def node_settings(node: str, choices: Mapping[str, str], folders: Sequence[Path]) -> dict[str, Setting]:
    """The settings of a node of the config by dotted key, such as `lr` and `schedule.warmup`; nodes are left out.

    Args:
        node: the name of the node, such as `optimizer`.
        choices: the option chosen in each group. A group without a known option has no settings.
        folders: folders of config files.
    """
    settings: dict[str, Setting] = {}
    for group in GROUPS:
        if group.partition("/")[0] == node and (path := options(group, list(folders)).get(choices.get(group, ""))):
            inner = group.partition("/")[2]
            settings |= {f"{inner}.{key}".strip("."): s for key, s in read_config_file(path, folders).settings.items()}
    return {key: setting for key, setting in settings.items() if setting.value}


def resolved_choices(chosen: Mapping[str, str], folders: Sequence[Path]) -> dict[str, str]:
    """The option of each group that `adlx train` would use: that of `chosen`, else that of the config files."""

    def defaults_of(group: str, name: str) -> dict[str, str]:
        path = options(group, list(folders)).get(name)
        return {} if path is None else read_config_file(path, folders).choices

    fixed = {**defaults_of("experiment", chosen.get("experiment", "")), **chosen}
    resolved = {**read_config_file(config_folder() / "train.yaml", folders).choices, **fixed}
    for node in NODES:
        resolved |= {**defaults_of(node, resolved.get(node, "")), **fixed}
    return resolved
