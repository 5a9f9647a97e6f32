"""The hint at the end of a message about an unknown name: the most similar known name."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

_SHORTEST_WORD = 3  # letters; a shorter word, such as `n`, is part of too many names


def nearest(name: str, valid: Iterable[object]) -> str:
    """`; did you mean X?` for the most similar valid name, ignoring case; empty if none is similar."""
    known = {str(v).lower(): str(v) for v in valid}
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {known[close[0]]}?" if close else ""


def nearest_argument(name: str, accepted: Iterable[str], listed: Collection[str]) -> str:
    """`; did you mean X?` for the most similar argument of a class, preferring arguments that its config lists."""
    scored = [(round(_similarity(name, known), 6), known in listed, known) for known in accepted]
    best = max(scored, default=(0.0, False, ""), key=lambda entry: entry[:2])
    return f"; did you mean {best[2]}?" if best[0] >= 0.65 else ""


def nearest_key(key: str, config: Mapping[str, Any]) -> str | None:
    """The key of a config, at any depth, that is most similar to `key`: `trainer.max_epochs` for `epochs`."""
    known_keys = [known for known in dict.fromkeys(_dotted(config)) if known != key]
    scored = [(_similarity(key, known), -known.count("."), known) for known in known_keys]
    best = max(scored, default=(0.0, 0, ""), key=lambda entry: entry[:2])
    return best[2] if best[0] >= 0.6 else None


def did_you_mean(key: str, config: Mapping[str, Any]) -> str:
    """`; did you mean X?` for the most similar key of a config at any depth; empty if none is similar."""
    close = nearest_key(key, config)
    return f"; did you mean {close}?" if close else ""


def _similarity(key: str, known: str) -> float:
    """The similarity of two keys: 1 if their last parts are equal, 0.95 if the words of one are part of the other.

    It is also 0.95 if one is the initials of the other, as for `lr` and `learning_rate`. Known keys at the root get 0.1
    more.
    """
    last, known_last = key.rpartition(".")[2].lower(), known.rpartition(".")[2].lower()
    if last == known_last:
        similarity = 1.0
    elif _is_part(last, known_last) or last == _initials(known_last) or _initials(last) == known_last:
        similarity = 0.95
    else:
        similarity = 0.9 * SequenceMatcher(None, last, known_last).ratio()
    if "." in key:  # the group counts too, but the user may mean a key of another group
        groups = key.rpartition(".")[0], known.rpartition(".")[0]
        similarity = 0.7 * similarity + 0.3 * SequenceMatcher(None, *groups).ratio()
    return similarity + 0.1 * ("." not in known)


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
