"""Flattens the settings of a run."""

from typing import Any


def flatten(tree: dict[str, Any], prefix: str = "", null: str | None = None) -> dict[str, Any]:
    """Turns `{"model": {"hidden": 64}}` into `{"model.hidden": 64}`; lists become text.

    Args:
        tree: nested settings.
        prefix: put before each key.
        null: the text for null; None: keys with null are left out.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}.", null))
        elif value is None:
            flat |= {} if null is None else {f"{prefix}{key}": null}
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str | int | float | bool) else str(value)
    return flat
