"""The faces of the Facial Expression Recognition Challenge (Kaggle, 2013), from the CSV in which they are given out.

Goodfellow et al. 2013, "Challenges in representation learning: a report on three machine learning contests",
https://arxiv.org/abs/1307.0414. One row a face: `emotion` (0 to 6), `pixels` (48 x 48 grey levels in one string) and
`Usage`. 290 MB of text become 83 MB of images; the text is never in memory at once.
"""

import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from adlx.data.images.sources.expressions import EXPRESSIONS
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError

SIDE = 48
PIXELS = SIDE * SIDE
USAGES = {"training": 0, "publictest": 1, "privatetest": 2}
NAMES = ("fer2013.csv", "icml_face_data.csv")  # the second is how Kaggle names it today
ROWS = 1024  # a chunk: 8 MB of text, 19 MB of numbers

_END = -1  # closes each row of numbers, so that a pixel too many here and one too few there do not cancel


@dataclass(frozen=True)
class _Rows:
    """Some rows as text, and the line of the file that each is on, the header being line 1."""

    lines: list[int]
    emotion: list[str]
    pixels: list[str]
    usage: list[str] | None


def read_fer2013(path: str | Path) -> Samples:
    """Reads the challenge's file.

    Args:
        path: the CSV, also compressed (.gz, .zip), or a folder that holds `fer2013.csv`.

    Returns:
        (N, 1, 48, 48) images; `parts` follow `Usage` (Training, PublicTest, PrivateTest), None without that column.

    Raises:
        UserError: in one line, for a file that is not there or not that format, naming the line of a faulty row.
    """
    path = _file_at(Path(path).expanduser())
    where = path.name
    images, labels, parts = [], [], []
    for chunk in _chunks(path, where):
        images.append(_images(chunk, where))
        labels.append(_labels(chunk, where))
        if chunk.usage is not None:
            parts.append(_parts(chunk.lines, chunk.usage, where))
    if sum(map(len, images)) == 0:
        raise UserError(f"{where} holds no face; give the whole fer2013.csv of Kaggle's challenge")
    values = np.concatenate(images)
    return Samples(
        values=values,
        labels=np.concatenate(labels),
        classes=EXPRESSIONS,
        source="fer2013",
        detail=f"{where} ({len(values):,} faces)",
        parts=np.concatenate(parts) if parts else None,
    )


def _file_at(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"data.path={path} does not exist; check the spelling and the folder you are in")
    if not path.is_dir():
        return path
    found = next((path / name for name in NAMES if (path / name).is_file()), None)
    if found is None:
        raise UserError(f"data.path={path} holds no fer2013.csv; put it there, or name the file itself")
    return found


def _chunks(path: Path, where: str) -> Iterator[_Rows]:
    try:
        with pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, chunksize=ROWS) as reader:
            for frame in reader:
                yield _rows(frame, where)
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{where} is empty; give the fer2013.csv of Kaggle's challenge") from error
    except (
        OSError,
        ValueError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        tarfile.TarError,
        pd.errors.ParserError,
    ) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(
            f"{where} cannot be read as CSV: {reason}; give the fer2013.csv of Kaggle's challenge"
        ) from error


def _rows(frame: pd.DataFrame, where: str) -> _Rows:
    columns = {str(column).strip().lower(): [str(word) for word in frame[column]] for column in frame.columns}
    missing = [name for name in ("emotion", "pixels") if name not in columns]
    if missing:
        has = ", ".join(str(column).strip()[:20] for column in frame.columns[:6])
        raise UserError(
            f"{where} has no column {' and no column '.join(missing)} (it has {has}); "
            "FER2013 has the columns emotion, pixels, Usage"
        )
    if not isinstance(frame.index, pd.RangeIndex):  # pandas would shift every name by one here, and say nothing
        raise UserError(f"{where}: the rows have more fields than the header; pixels are separated by spaces")
    # Blank lines come as rows of empty words, so that the index counts them too.
    kept = [place for place, words in enumerate(zip(*columns.values(), strict=True)) if any(words)]
    found = {name: [words[place] for place in kept] for name, words in columns.items()}
    lines = [int(frame.index[place]) + 2 for place in kept]
    return _Rows(lines, found["emotion"], found["pixels"], found.get("usage"))


def _images(rows: _Rows, where: str) -> np.ndarray:
    """(rows, 1, 48, 48) uint8."""
    text = "".join(f"{row} {_END} " for row in rows.pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # where a letter is, older NumPy warns and stops
            numbers = np.fromstring(text, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        numbers = np.empty(0, dtype=np.int64)
    if numbers.size == len(rows.pixels) * (PIXELS + 1):
        pixels = numbers.reshape(-1, PIXELS + 1)[:, :PIXELS]
        # Where rows are of unequal length, an `_END` lies among the pixels.
        if pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 255:
            return pixels.astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
    raise UserError(f"{where}, {_fault(rows)}; fix or remove the row")


def _fault(rows: _Rows) -> str:
    """The line of the first row with bad pixels and what is wrong there; slow, and only for files with one."""
    for line, text in zip(rows.lines, rows.pixels, strict=True):
        words = text.encode().split()  # bytes, because what is a blank or a digit is then as in C
        bad = next((word for word in words if not (word.isdigit() and len(word) < 10 and int(word) <= 255)), None)
        if bad is not None:
            return f"line {line}: pixel {bad[:20].decode(errors='replace')!r} is no whole number from 0 to 255"
        if len(words) != PIXELS:
            return f"line {line}: {len(words):,} pixels instead of 2,304 (48 x 48)"
    raise AssertionError("every row is sound by itself")


def _labels(rows: _Rows, where: str) -> np.ndarray:
    numbers = {str(label): label for label in range(len(EXPRESSIONS))}
    found = _looked_up(rows.emotion, numbers)
    if None in found:
        place = found.index(None)
        raise UserError(
            f"{where}, line {rows.lines[place]}: emotion {rows.emotion[place][:20]!r} is no whole number "
            "from 0 (angry) to 6 (neutral); fix or remove the row"
        )
    return np.array(found, dtype=np.int64)


def _parts(lines: Sequence[int], usage: Sequence[str], where: str) -> np.ndarray:
    found = _looked_up(usage, USAGES)
    if None in found:
        place = found.index(None)
        raise UserError(
            f"{where}, line {lines[place]}: Usage {usage[place][:20]!r} is none of Training, PublicTest, PrivateTest; "
            "fix or remove the row"
        )
    return np.array(found, dtype=np.int8)


def _looked_up(words: Sequence[str], numbers: dict[str, int]) -> list[int | None]:
    return [numbers.get(word.strip().lower()) for word in words]
