"""`--config-dir DIR` among the words of a command: a folder with config files of the user's own."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from adlx.errors import UserError

FLAGS = ("--config-dir", "-cd")


def split_config_dirs(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The other words of a command, and the absolute folders that `--config-dir` names.

    Accepts `--config-dir DIR`, `--config-dir=DIR` and `-cd DIR`.

    Raises:
        UserError: no folder follows the flag, or there is no such folder.
    """
    others: list[str] = []
    folders: list[Path] = []
    rest = iter(words)
    for word in rest:
        name, has_value, value = word.partition("=")
        if name not in FLAGS:
            others.append(word)
            continue
        text = value if has_value else next(rest, "")
        folder = Path(text).expanduser().absolute()
        if not text:
            raise UserError(f"{name} needs a folder: write {name} DIR")
        if not folder.is_dir():
            raise UserError(f"{name}={text} is not a folder; check the spelling and the folder you are in")
        folders.append(folder)
    return others, folders


def config_dir_words(folders: Iterable[str | Path]) -> list[str]:
    """The words that name these folders in a command."""
    return [f"{FLAGS[0]}={folder}" for folder in folders]
