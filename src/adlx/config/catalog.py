"""The choices of the user, read from the config files. This module imports no slow packages."""

from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

NODES = ("model", "data", "task", "loss", "optimizer", "finetune", "trainer", "callbacks", "logger")
"""The nodes of a config; each holds settings."""

ROOT_KEYS = (*NODES, "seed", "output_dir", "allow")
"""All keys at the root of a config."""

GROUPS = (*NODES, "optimizer/schedule", "experiment")
"""The groups of config files; the user chooses one option of each."""

ENTRY_POINTS = "adlx.configs"
"""Entry points by which an installed package adds config files: `name = "package.folder"`."""


def config_folder() -> Path:
    """The package's own configs folder, else the repository's."""
    package = Path(__file__).parents[1] / "configs"
    return package if package.is_dir() else Path(__file__).parents[3] / "configs"


@cache
def extensions() -> dict[str, Path]:
    """The config folders of installed packages, by the package's name. Nothing of a package is imported."""
    folders: dict[str, Path] = {}
    for point in entry_points(group=ENTRY_POINTS):
        package, _, inner = point.value.partition(".")
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            folders[package] = Path(spec.submodule_search_locations[0]).joinpath(*inner.split("."))
    return folders


def config_folders() -> list[Path]:
    """The folders of config files: adlx's own folder, then those of installed packages."""
    return [config_folder(), *extensions().values()]


def options(group: str, folders: list[Path] | None = None) -> dict[str, Path]:
    """The files of a group's options, by name. If several folders have an option, the first one wins."""
    paths: dict[str, Path] = {}
    for folder in config_folders() if folders is None else folders:
        for path in sorted((folder / group).glob("*.yaml")):
            paths.setdefault(path.stem, path)
    return dict(sorted(paths.items()))


def description(path: Path) -> str:
    """The first comment line of a config file that is neither its launch command nor a Hydra directive."""
    return next((text for text in _head(path) if not text.startswith(("adlx ", "@package"))), "")


def products(path: Path) -> str:
    """The product of a task: the text after `predict:` in the comments at the top of its config file."""
    return next((text.removeprefix("predict:").strip() for text in _head(path) if text.startswith("predict:")), "")


def _head(path: Path) -> list[str]:
    """The comment lines at the top of a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.lstrip("# ").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
