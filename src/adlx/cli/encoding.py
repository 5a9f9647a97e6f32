"""Lets commands print to terminals, pipes and files whose encoding lacks characters, such as ASCII."""

import codecs
import io
import sys

HANDLER = "adlx.replace"

REPLACEMENTS = {
    "±": "+/-",
    "−": "-",
    "–": "-",
    "—": "-",
    "·": "*",
    "×": "x",
    "…": "...",
    "•": "*",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
}
HORIZONTAL, VERTICAL = "─━═╌╍┄┅┈┉╴╶╸╺╼╾", "│┃║╎╏┆┇┊┋╵╷╹╻╽╿"


def print_any_character() -> None:
    """Lets stdout and stderr replace characters that their encoding lacks, instead of raising UnicodeEncodeError.

    Signs become similar ASCII signs, and lines of tables become `-`, `|` and `+`. A letter becomes an escape sequence,
    such as `\\xe9`, so that different names never look equal. This also prints file names that are not valid UTF-8.
    """
    codecs.register_error(HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(character: str) -> str:
    if character in REPLACEMENTS:
        return REPLACEMENTS[character]
    if character in HORIZONTAL:
        return "-"
    if character in VERTICAL:
        return "|"
    if "─" <= character <= "╿":  # the other box characters are corners and crossings
        return "+"
    return character.encode("ascii", "backslashreplace").decode()
