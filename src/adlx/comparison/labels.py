"""What configurations are called when runs stand side by side: by what differs between them."""

from collections.abc import Sequence
from typing import Any

from adlx.runs.folder import RunFolder
from adlx.runs.settings import flatten

SPAN = ("path", "start", "end")
"""Settings of the data that choose a span of them, and no configuration."""

OTHER_RUN = ("run", "sha256")
"""Settings that name another run, from which this one started."""


def grouped(runs: Sequence[RunFolder], ignoring: str | None = None) -> dict[str, list[RunFolder]]:
    """Runs by a label that names the model, the data and what else differs between them; seeds share one.

    Args:
        runs: to label.
        ignoring: key of a setting that no label names.
    """
    flats = [flatten(_settings(run.config), null="null") for run in runs]
    several_data = len({run.info["choices"]["data"] for run in runs}) > 1
    groups: dict[str, list[RunFolder]] = {}
    for run, flat in zip(runs, flats, strict=True):
        differing = [
            f"{key.removeprefix('model.').removeprefix('finetune.')}={value}"
            for key, value in flat.items()
            if key != ignoring and _differs(key, value, flat, flats)
        ]
        name = run.name if several_data else run.info["choices"]["model"]
        if (finetune := run.info["choices"].get("finetune", "none")) != "none":
            name = f"{name} {finetune}"
        groups.setdefault(" ".join([name, *differing]), []).append(run)
    return groups


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The nodes of a config without the seed, folders, spans of the data and other runs.

    A node inside another that has a hash is the model of another run, with the settings of that run.
    """
    settings = {}
    for name, node in config.items():
        if not isinstance(node, dict):
            if name not in ("seed", "output_dir"):
                settings[name] = node
            continue
        hidden = (*OTHER_RUN, *(SPAN if name == "data" else ()))
        settings[name] = {
            key: value
            for key, value in node.items()
            if key not in hidden and not (isinstance(value, dict) and "sha256" in value)
        }
    return settings


def _differs(key: str, value: Any, flat: dict[str, Any], flats: Sequence[dict[str, Any]]) -> bool:
    """Whether a setting tells runs apart: it differs among those with the same target in that node.

    Two models have different arguments by necessity, and may ask for a training of their own.
    """
    if key.endswith("_target_"):
        return False
    node = key.split(".")[0]
    same = [f"{node}._target_", *([] if node == "data" else ["model._target_"])]
    peers = [other for other in flats if all(other.get(target) == flat.get(target) for target in same)]
    return any(peer.get(key) != value for peer in peers)
