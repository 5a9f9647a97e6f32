"""The settings of a run, flat."""

from typing import Any


def flatten(tree: dict[str, Any], prefix: str = "", null: str | None = None) -> dict[str, Any]:
    """`{"model": {"hidden": 64}}` to `{"model.hidden": 64}`; lists become text, and so does null, or it is left out."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}.", null))
        elif value is None:
            flat |= {} if null is None else {f"{prefix}{key}": null}
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str | int | float | bool) else str(value)
    return flat
