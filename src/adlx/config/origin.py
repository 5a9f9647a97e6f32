"""Which config file sets a key."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf


def file_that_sets(key: str, choices: Mapping[str, str], folders: Sequence[Path]) -> Path | None:
    """The config file, relative to its folder, that a key comes from; None: no file sets it.

    Args:
        key: dotted, such as `data.context`.
        choices: the option chosen in each group.
        folders: folders of config files; the first one that has a file wins.
    """
    parts = key.split(".")
    groups = [("/".join(parts[:depth]), ".".join(parts[depth:])) for depth in range(len(parts) - 1, 0, -1)]
    candidates = [("experiment", choices.get("experiment"), key)]
    candidates += [(group, choices.get(group), inner) for group, inner in groups]
    for group, choice, inner in [*candidates, ("", "train", key)]:
        if choice and (path := _search(Path(group) / f"{choice}.yaml", inner, folders)):
            return path
    return None


def _search(file: Path, key: str, folders: Sequence[Path]) -> Path | None:
    """The file itself, or the last of its `defaults` that sets the key."""
    folder = next((folder for folder in folders if (folder / file).is_file()), None)
    if folder is None:
        return None
    tree = OmegaConf.load(folder / file)
    absent = object()
    if OmegaConf.select(tree, key, default=absent) is not absent:
        return file
    paths = [_search(shared, key, folders) for shared in _shared_files(tree, file.parent)]
    return next((path for path in reversed(paths) if path), None)


def _shared_files(tree: Any, folder: Path) -> Iterator[Path]:
    """The files that a file includes in its own node: entries such as `- checkpoint` or `- series/windows@_here_`."""
    entries = tree.get("defaults", []) if isinstance(tree, DictConfig) else []
    for entry in entries:
        if isinstance(entry, str) and entry != "_self_":
            yield folder / f"{entry.removesuffix('@_here_')}.yaml"
