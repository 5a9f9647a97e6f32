"""The hint that ends a message about a name that does not exist."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any


def nearest(name: str, valid: Iterable[object]) -> str:
    """`; did you mean X?` for the closest of the valid names, or nothing."""
    close = get_close_matches(name, [str(v) for v in valid], n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def nearest_key(key: str, config: Mapping[str, Any]) -> str | None:
    """The key of a config, at any depth, that is closest to `key`: `trainer.max_epochs` for `epochs`."""
    known_keys = [known for known in dict.fromkeys(_dotted(config)) if known != key]
    scored = [(_closeness(key, known), -known.count("."), known) for known in known_keys]
    best = max(scored, default=(0.0, 0, ""), key=lambda entry: entry[:2])
    return best[2] if best[0] >= 0.6 else None


def did_you_mean(key: str, config: Mapping[str, Any]) -> str:
    """`; did you mean X?` for the closest key of a config at any depth, or nothing."""
    close = nearest_key(key, config)
    return f"; did you mean {close}?" if close else ""


def _closeness(key: str, known: str) -> float:
    """From 0 to 1: 1 where the last parts are equal, 0.95 where the words of one are among those of the other."""
    last, known_last = key.rpartition(".")[2], known.rpartition(".")[2]
    if last == known_last:
        closeness = 1.0
    elif set(last.split("_")) < set(known_last.split("_")):
        closeness = 0.95
    else:
        closeness = 0.9 * SequenceMatcher(None, last, known_last).ratio()
    if "." in key:  # the group counts too, but the meant key may be of another one
        groups = key.rpartition(".")[0], known.rpartition(".")[0]
        closeness = 0.7 * closeness + 0.3 * SequenceMatcher(None, *groups).ratio()
    return closeness + 0.1 * ("." not in known)


def _dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in config.items():
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
