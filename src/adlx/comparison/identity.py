"""Two runs are seeds of one configuration if they have equal settings, equal data and equal base runs."""

import json
from collections.abc import Sequence
from typing import Any

from adlx.errors import UserError
from adlx.runs.folder import RunFolder
from adlx.runs.settings import flatten

NEUTRAL = ("seed", "output_dir", "allow", "logger")
"""Parts of a config that do not change the trained model, so runs of one configuration may differ in them."""

SPAN = ("path", "start", "end")
"""Settings that select data. Two files may hold equal data, so the identity contains facts about the data instead."""

OTHER_RUN = ("run", "sha256")
"""Settings that name another run whose weights this run uses. The identity contains the configuration of that run."""


def settings(run: RunFolder, ignored: str | None = None) -> dict[str, Any]:
    """The settings of a run that name no file, folder or seed, by dotted key.

    Args:
        run: a run folder.
        ignored: key of a setting to leave out.
    """
    tree = {name: node for name, node in run.config.items() if name not in NEUTRAL}
    tree["data"] = {key: value for key, value in run.config["data"].items() if key not in SPAN}
    flat = flatten(_without_other_runs(tree), null="null")
    return {key: value for key, value in flat.items() if key != ignored}


def identities(runs: Sequence[RunFolder], ignored: str | None = None) -> list[str]:
    """A text for each run; runs with the same text differ only in the seed.

    Args:
        runs: to identify.
        ignored: key of a setting in which runs of one identity may differ.
    """
    bases = [_base_identities(run) for run in runs]
    if any(None in of_run for of_run in bases):  # if the folder of one base is gone, no bases can be compared
        bases = [[]] * len(runs)
    return [
        json.dumps(
            [run.info["choices"]["model"], settings(run, ignored), data_identity(run, ignored), of_run],
            sort_keys=True,
            default=str,
        )
        for run, of_run in zip(runs, bases, strict=True)
    ]


def data_identity(run: RunFolder, ignored: str | None = None) -> str:
    """The data that a run was trained and tested on: source, fingerprint of the training part, sizes of all parts.

    If a setting of the data is ignored, the training parts may differ, so the identity is the choice and the path only.
    """
    choice = run.info["choices"]["data"]
    if ignored is not None and ignored.startswith("data."):
        return json.dumps([choice, run.config["data"].get("path")], default=str)
    facts = {key: value for key, value in run.info["data"].items() if key != "detail"}  # such as the name of the file
    return json.dumps([choice, facts], sort_keys=True, default=str)


def _without_other_runs(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree without the nodes and keys that name another run. A node with a hash is a model from another run."""
    kept: dict[str, Any] = {}
    for name, node in tree.items():
        if not isinstance(node, dict):
            kept[name] = node
            continue
        own = {key: value for key, value in node.items() if key not in OTHER_RUN}
        kept[name] = {key: value for key, value in own.items() if not (isinstance(value, dict) and "sha256" in value)}
    return kept


def _base_identities(run: RunFolder) -> list[str | None]:
    """The identity of each run whose weights this run uses; None for a run that cannot be opened."""
    bases: list[str | None] = []
    for path in base_runs(run):
        try:
            bases += identities([RunFolder.open(path)])
        except UserError:
            bases.append(None)
    return bases


def base_runs(run: RunFolder) -> list[str]:
    """The folders of the runs whose weights this run uses: its base run, and the runs of parts of its model."""
    nodes = [node for node in run.config.values() if isinstance(node, dict)]
    nodes += [inner for node in nodes for inner in node.values() if isinstance(inner, dict)]
    return [str(node["run"]) for node in nodes if node.get("run")]
