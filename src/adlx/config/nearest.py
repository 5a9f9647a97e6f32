"""The hint that ends a message about a name that does not exist."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

_SHORTEST_WORD = 3  # letters; a shorter word, such as `n`, is part of too many names


def nearest(name: str, valid: Iterable[object]) -> str:
    """`; did you mean X?` for the closest of the valid names, capitals or not, or nothing."""
    known = {str(v).lower(): str(v) for v in valid}
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {known[close[0]]}?" if close else ""


def nearest_argument(name: str, accepted: Iterable[str], listed: Collection[str]) -> str:
    """`; did you mean X?` for the closest argument of a class; of equally close ones, one that its config lists."""
    scored = [(round(_closeness(name, known), 6), known in listed, known) for known in accepted]
    best = max(scored, default=(0.0, False, ""), key=lambda entry: entry[:2])
    return f"; did you mean {best[2]}?" if best[0] >= 0.65 else ""


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
    """From 0 to 1: 1 where the last parts are equal, 0.95 where the words of one are among those of the other.

    `lr` and `learning_rate` are as close, too: one is the initials of the other.
    """
    last, known_last = key.rpartition(".")[2].lower(), known.rpartition(".")[2].lower()
    if last == known_last:
        closeness = 1.0
    elif _is_part(last, known_last) or last == _initials(known_last) or _initials(last) == known_last:
        closeness = 0.95
    else:
        closeness = 0.9 * SequenceMatcher(None, last, known_last).ratio()
    if "." in key:  # the group counts too, but the meant key may be of another one
        groups = key.rpartition(".")[0], known.rpartition(".")[0]
        closeness = 0.7 * closeness + 0.3 * SequenceMatcher(None, *groups).ratio()
    return closeness + 0.1 * ("." not in known)


def _is_part(name: str, known: str) -> bool:
    words = set(name.split("_"))
    return words < set(known.split("_")) and any(len(word) >= _SHORTEST_WORD for word in words)


def _initials(name: str) -> str:
    words = name.split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else ""


def _dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in config.items():
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
