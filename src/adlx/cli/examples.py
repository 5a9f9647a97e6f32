"""The commands at the end of each verb's help. They are in `configs/help/`, next to the configs that they name."""

from adlx.config.catalog import config_folder


def examples(verb: str) -> str:
    """The block of examples of a verb, or of `adlx` itself."""
    lines = (config_folder() / "help" / f"{verb}.txt").read_text(encoding="utf-8").splitlines()
    return "\n".join(["examples:", *(f"  {line}" for line in lines)]) + "\n"
