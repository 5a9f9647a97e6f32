"""Rewrites the words of a command so that Hydra reads what the user means.

A path is read as typed. `model.dropout=0.1` may set an argument that no YAML lists: Hydra does not know it, but `check`
does.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from adlx.config.catalog import GROUPS, options
from adlx.errors import UserError

_SWEEP = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)$")
"""Values that Hydra expands to several values. With `-m` this also applies to paths."""

_PART = re.compile(
    r"""(?:^|,)\s*("(?:\\.|[^"\\])*"(?=\s*(?:,|$))|'(?:\\.|[^'\\])*'(?=\s*(?:,|$))|[^,]*)"""  # quoted, or not
)


def split(word: str) -> tuple[str, str, str]:
    """The prefix (`+`, `++` or nothing), the key and the value of a word."""
    key, _, value = word.partition("=")
    bare = key.lstrip("+")
    return key[: len(key) - len(bare)], bare, value


def is_choice(key: str) -> bool:
    """Whether a key chooses an option of a group, such as `model` or `optimizer/schedule`."""
    return key in GROUPS or "/" in key or "@" in key


def is_setting(word: str) -> bool:
    """Whether a word sets a key of the config. Flags, choices, deletions (`~key`) and keys of Hydra do not."""
    key = split(word)[1]
    return "=" in word and word[:1] not in "-~" and not is_choice(key) and key.split(".")[0] != "hydra"


def check_word(word: str) -> None:
    """Raises UserError for a word without a key, and for a choice whose value is not a name."""
    key = split(word)[1]
    if not key or key != key.strip():
        raise UserError(f"{word}: cannot be read; write key=value without spaces around =")
    if "=" in word and key in GROUPS:
        try:
            names = OverridesParser.create().parse_override(word).value()
        except HydraException:  # Hydra reports this when it composes the config
            return
        if isinstance(names, int | float | None):
            raise UserError(f"{word}: must be one of {', '.join(options(key))}")


def quote(text: str) -> str:
    """Quotes text so that Hydra reads it unchanged."""
    body = re.sub(r"(\\*)'", r"\1\1\\'", text)
    trailing = len(body) - len(body.rstrip("\\"))
    return f"'{body}{trailing * chr(92)}'"


def unquote(text: str) -> str:
    """Removes the quotes of a quoted text; other text stays as it is."""
    mark = text[:1]
    if len(text) < 2 or mark not in "'\"" or text[-1] != mark or re.search(rf"(?<!\\){mark}", text[1:-1]):
        return text
    body = re.sub(rf"(\\+)(?={mark}|$)", lambda m: m[1][: len(m[1]) // 2], text[1:-1])
    return body if mark == "'" or "\\" not in text else body.replace('\\"', '"')


def settings(words: Sequence[str], paths: Collection[str], multirun: bool = False) -> list[str]:
    """The words for Hydra: paths quoted, and `++` before other keys, so that `check` can refuse the unknown ones.

    Args:
        words: as the user typed them, or as Hydra quoted them for a job.
        paths: keys that are paths.
        multirun: commas separate the values of several runs.

    Raises:
        UserError: a path cannot be read.
    """
    ready = []
    for word in words:
        plus, key, value = split(word)
        if not is_setting(word):
            ready.append(word)
        elif key in paths:
            ready.append(f"{plus or '++'}{key}={_path(word, value, multirun)}")
        else:
            ready.append(word if plus else f"++{word}")
    return ready


def refuse_sweeps(words: Sequence[str], paths: Collection[str]) -> None:
    """Raises UserError for a word with several values, which need `-m`. A path may contain commas."""
    for word in words:
        key = split(word)[1]
        if "=" in word and key not in paths and not key.startswith("hydra"):
            _refuse_sweep(word)


def _path(word: str, value: str, multirun: bool) -> str:
    if "${" in value:
        raise UserError(f"{word}: a path must not contain ${{")
    if value in ("", "null") or (multirun and _SWEEP.match(value)):
        return value
    parts = list(_parts(value)) if multirun else [value]
    if len(parts) > 1 and Path(value).expanduser().exists():
        raise UserError(
            f"{word}: with -m a comma separates values; for the one file of this name write "
            f"'{word.partition('=')[0]}=\"{value}\"'"
        )
    return ",".join(quote(unquote(part)) for part in parts)


def _parts(value: str) -> Iterator[str]:
    """Yields the values between commas; a comma inside quotes does not separate values."""
    for match in _PART.finditer(value):
        yield match[1].rstrip()


def _refuse_sweep(word: str) -> None:
    try:
        several = OverridesParser.create().parse_override(word).is_sweep_override()
    except HydraException:  # Hydra reports this when it composes the config
        return
    if several:
        _, key, value = split(word)
        a_list = "" if is_choice(key) else f"; a list is written {key}=[{value}]"
        raise UserError(f"{word}: several values need -m, as in adlx train -m {word}{a_list}")


def as_typed(word: str) -> str:
    """A word from Hydra as a user would type it: without quotes, unless these change the value."""
    _, key, value = split(word)
    plain = f"{key}={unquote(value)}"
    return word.removeprefix("++") if needs_reading(plain) or unquote(value).isdecimal() else plain


def needs_reading(word: str) -> bool:
    """Whether Hydra would read the value of a word as something other than the typed text."""
    if not is_setting(word):
        return False
    value = split(word)[2]
    if "${" in value:
        return True
    try:
        read = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return True
    return not (isinstance(read, str) and read == value) and not (type(read) is int and str(read) == value)
