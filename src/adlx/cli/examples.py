"""The commands that the help of each verb ends in; they lie beside the configs that they name, in `configs/help/`."""

from adlx.config.catalog import config_folder, options, products


def examples(verb: str) -> str:
    """The block of examples of a verb, or of `adlx` itself."""
    lines = (config_folder() / "help" / f"{verb}.txt").read_text(encoding="utf-8").splitlines()
    return "\n".join(["examples:", *(f"  {line}" for line in lines)]) + "\n"


def product_lines() -> str:
    """What `adlx predict` makes, a line a task, from the tasks' own config files."""
    return "".join(f"  {name:<18} {text}\n" for name, path in options("task").items() if (text := products(path)))
