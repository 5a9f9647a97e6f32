"""The choices a user can make, read from the config files themselves; imports nothing heavy."""

from pathlib import Path

NODES = ("model", "data", "loss", "optimizer", "finetune", "trainer", "callbacks", "logger")
"""The nodes of a config that hold settings of their own."""

GROUPS = (*NODES, "optimizer/schedule", "experiment")
"""What a user chooses from."""


def config_folder() -> Path:
    """The package's own configs folder, else the repository's."""
    package = Path(__file__).parents[1] / "configs"
    return package if package.is_dir() else Path(__file__).parents[3] / "configs"


def options(group: str, folder: Path | None = None) -> dict[str, Path]:
    """The choices of a group, by name."""
    return {path.stem: path for path in sorted(((folder or config_folder()) / group).glob("*.yaml"))}


def description(path: Path) -> str:
    """The first comment line of a config file that is neither its launch command nor a Hydra directive."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if not text.startswith(("adlx ", "@package")):
            return text
    return ""


def keys(path: Path) -> list[str]:
    """The top-level keys that a config file sets, by its text: enough for completion."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[0] for line in lines if ":" in line and line[:1].isalpha()]
    return [name for name in names if name != "defaults"]
