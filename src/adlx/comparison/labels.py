"""Labels of configurations in a comparison: the few words in which they differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from adlx.comparison.identity import NEUTRAL, base_runs, data_identity, identities, settings
from adlx.runs.folder import RunFolder

TARGET = "_target_"
EXPERIMENT = "experiment"
NAMED = ("model", "data", "finetune")
"""Groups whose choice is in the first word of a label."""


def group_runs(runs: Sequence[RunFolder], ignored: str | None = None) -> dict[str, list[RunFolder]]:
    """Runs by the label of their configuration; the runs of one label differ only in the seed.

    Args:
        runs: to label.
        ignored: key of a setting in which runs of one group may differ, and that no label names.
    """
    groups: dict[str, list[RunFolder]] = {}
    for run, identity in zip(runs, identities(runs, ignored), strict=True):
        groups.setdefault(identity, []).append(run)
    firsts = [group[0] for group in groups.values()]
    return dict(zip(labels(firsts, ignored), groups.values(), strict=True))


def labels(runs: Sequence[RunFolder], ignored: str | None = None) -> list[str]:
    """A different label for each run: the model, the data if there are several, and the settings that differ."""
    described = [Described.of(run, ignored) for run in runs]
    texts = [
        " ".join([name, *_differences(own, described), *_data_words(run, runs, ignored)])
        for name, own, run in zip(_names(runs), described, runs, strict=True)
    ]
    for further in (_base_difference, _all_differences, lambda run, _: run.path.name):
        texts = _distinguish(texts, runs, further)
    return [text if texts.count(text) == 1 else f"{text} {run.path}" for text, run in zip(texts, runs, strict=True)]


@dataclass(frozen=True)
class Described:
    """A run by its choices and its settings.

    Args:
        choices: the option chosen in each group of the config, by the name of the group.
        flat: the settings by dotted key.
    """

    choices: dict[str, str]
    flat: dict[str, Any]

    @classmethod
    def of(cls, run: RunFolder, ignored: str | None) -> Self:
        return cls(run.info["choices"], settings(run, ignored))

    def chosen(self, group: str) -> tuple[Any, Any]:
        """The option chosen in a group, and the class it configures."""
        return self.choices.get(group), self.flat.get(f"{group.replace('/', '.')}.{TARGET}")


def _names(runs: Sequence[RunFolder]) -> list[str]:
    several_data = len({run.info["choices"]["data"] for run in runs}) > 1
    names = []
    for run in runs:
        name = run.name if several_data else run.info["choices"]["model"]
        finetune = run.info["choices"].get("finetune", "none")
        names.append(name if finetune == "none" else f"{name} {finetune}")
    return names


def _differences(own: Described, all_runs: Sequence[Described]) -> list[str]:
    """The words by which one run differs from the others: `loss=NAME`, `hidden=16`.

    A setting is compared only between runs with the same choice in its group of the config. Two models, or two
    optimizers, have different settings anyway, so the name of the choice is enough.
    """
    keys = list(dict.fromkeys(key for one in all_runs for key in one.flat))
    groups = list(
        dict.fromkeys([*(key.split(".")[0] for key in keys), *(group for one in all_runs for group in one.choices)])
    )
    groups = [group for group in groups if group not in NEUTRAL]
    words = []
    for group in groups:
        peers = _peers(own, all_runs, _groups_above(group))
        same = _peers(own, peers, [group])
        if group not in NAMED and len(same) <= len(peers) / 2:  # a choice that most runs made is not named
            words += _choice(own, peers, group)
        for key in keys:
            if _group_of(key, groups) == group:
                words += _difference(key, own, same)
    return words


def _groups_above(group: str) -> list[str]:
    """Groups that decide about this one: its options are compared only between runs with the same choice in them."""
    if group in ("model", "data"):
        return []
    parent = group.rpartition("/")[0]
    above = ["model"] if group == EXPERIMENT else ["model", EXPERIMENT]
    return [*above, parent] if parent else above


def _peers(own: Described, runs: Sequence[Described], groups: Sequence[str]) -> list[Described]:
    """The runs that made the same choice in these groups."""
    return [other for other in runs if all(other.chosen(group) == own.chosen(group) for group in groups)]


def _group_of(key: str, groups: Sequence[str]) -> str:
    """The innermost group of the config that contains a dotted key."""
    containing = [group for group in groups if f"{key}.".startswith(f"{group.replace('/', '.')}.")]
    return max(containing, key=len)


def _choice(own: Described, peers: Sequence[Described], group: str) -> list[str]:
    """The chosen option; if the same option configures several classes, the class."""
    option, target = own.chosen(group)
    if len({peer.choices.get(group) for peer in peers}) == 1:
        option = "none" if target is None else str(target).rpartition(".")[2]
    return [] if option is None else [f"{group.rpartition('/')[2]}={option}"]


def _difference(key: str, own: Described, peers: Sequence[Described]) -> list[str]:
    """`[key=value]` if the setting differs from that of a peer with the same classes at all levels above the key."""
    node, _, name = key.rpartition(".")
    parent = node.rpartition(".")[0] if name == TARGET else node
    steps = parent.split(".") if parent else []
    levels = [".".join([*steps[: depth + 1], TARGET]) for depth in range(len(steps))]
    same = [peer for peer in peers if all(peer.flat.get(level) == own.flat.get(level) for level in levels)]
    if all(peer.flat.get(key) == own.flat.get(key) for peer in same):
        return []
    if name == TARGET:
        return [f"{_short(node)}={str(own.flat.get(key, 'none')).rpartition('.')[2]}"]
    return [f"{_short(key)}={own.flat[key]}"] if key in own.flat else []


def _short(key: str) -> str:
    return key.removeprefix("model.").removeprefix("finetune.")


def _distinguish(
    texts: Sequence[str], runs: Sequence[RunFolder], describe: Callable[[RunFolder, list[RunFolder]], str]
) -> list[str]:
    """The texts; if several runs have the same text, the words of `describe` are added, unless these are equal too."""
    result = list(texts)
    for text in dict.fromkeys(texts):
        positions = [position for position, other in enumerate(texts) if other == text]
        alike = [runs[position] for position in positions]
        words = [describe(run, alike) for run in alike]
        if len(positions) > 1 and len(set(words)) > 1:
            for position, word in zip(positions, words, strict=True):
                result[position] = f"{text} {word}".rstrip()
    return result


def _data_words(run: RunFolder, runs: Sequence[RunFolder], ignored: str | None) -> list[str]:
    """The settings that select other data, such as `data.path=prices.csv`; the fingerprint if settings are equal."""
    others = [other for other in runs if data_identity(other, ignored) != data_identity(run, ignored)]
    others = [other for other in others if other.info["choices"]["data"] == run.info["choices"]["data"]]
    path = run.config["data"].get("path")
    paths = [other.config["data"].get("path") for other in others]
    if any(other != path for other in paths):
        return [f"data.path={_tail(str(path), [str(other) for other in paths])}"]
    own = _data_settings(run)
    alike = [other for other in others if _data_settings(other) == own]
    words = [
        f"data.{key}={run.config['data'].get(key)}"
        for key in ("start", "end")
        if any(other.config["data"].get(key) != run.config["data"].get(key) for other in alike)
    ]
    return words or [f"data.fingerprint={str(run.info['data'].get('fingerprint'))[:8]}" for _ in alike[:1]]


def _data_settings(run: RunFolder) -> dict[str, Any]:
    return {key: value for key, value in settings(run).items() if key.startswith("data.")}


def _tail(path: str, paths: Sequence[str]) -> str:
    """The shortest end of a path by which it differs from the other paths."""
    parts = Path(path).parts
    for count in range(1, len(parts)):
        tail = Path(*parts[-count:])
        if all(other == path or Path(*Path(other).parts[-count:]) != tail for other in paths):
            return str(tail)
    return path


def _base_difference(run: RunFolder, alike: list[RunFolder]) -> str:
    """The names of the runs whose weights this one uses."""
    return " ".join(f"run={Path(path).name}" for path in base_runs(run))


def _all_differences(run: RunFolder, alike: list[RunFolder]) -> str:
    """All settings that differ, in all groups of the config."""
    own, others = settings(run), [settings(other) for other in alike]
    keys = [key for key in own if any(other.get(key) != own[key] for other in others)]
    return " ".join(f"{key}={str(own[key]).rpartition('.')[2] if key.endswith(TARGET) else own[key]}" for key in keys)
