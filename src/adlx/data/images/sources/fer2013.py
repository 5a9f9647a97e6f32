"""The faces of the Facial Expression Recognition Challenge (Kaggle, 2013), read from the CSV of the challenge.

Goodfellow et al. 2013, "Challenges in representation learning: a report on three machine learning contests",
https://arxiv.org/abs/1307.0414. Each row is a face: `emotion` (0 to 6), `pixels` (48 x 48 grey levels in one string)
and `Usage`. The file is read in chunks, because 290 MB of text become only 83 MB of images.
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
NAMES = ("fer2013.csv", "icml_face_data.csv")  # Kaggle uses the second name today
ROWS = 1024  # in a chunk, of 8 MB of text and 19 MB of numbers

_END = -1  # stands after each row of numbers, so that one pixel too many and one too few in another row are noticed


@dataclass(frozen=True)
class _Rows:
    """Rows as text, and their line numbers in the file; the header is line 1."""

    lines: list[int]
    emotion: list[str]
    pixels: list[str]
    usage: list[str] | None


def read_fer2013(path: str | Path) -> Samples:
    """Reads the file of the challenge.

    Args:
        path: the CSV, which may be compressed (.gz, .zip), or a folder with `fer2013.csv`.

    Returns:
        (N, 1, 48, 48) images; `parts` come from `Usage` (Training, PublicTest, PrivateTest), None without this column.

    Raises:
        UserError: the file is missing or has another format; the message is one line, which names a faulty row.
    """
    path = _find_file(Path(path).expanduser())
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


def _find_file(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"data.path={path} does not exist; check the spelling and the folder you are in")
    if not path.is_dir():
        return path
    file = next((path / name for name in NAMES if (path / name).is_file()), None)
    if file is None:
        raise UserError(f"data.path={path} holds no fer2013.csv; put it there, or name the file itself")
    return file


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
    if not isinstance(frame.index, pd.RangeIndex):  # pandas would silently shift all names by one column
        raise UserError(f"{where}: the rows have more fields than the header; pixels are separated by spaces")
    # pandas keeps blank lines as rows of empty words, so that line numbers count them.
    filled = [row for row, words in enumerate(zip(*columns.values(), strict=True)) if any(words)]
    texts = {name: [words[row] for row in filled] for name, words in columns.items()}
    lines = [int(frame.index[row]) + 2 for row in filled]
    return _Rows(lines, texts["emotion"], texts["pixels"], texts.get("usage"))


def _images(rows: _Rows, where: str) -> np.ndarray:
    """(rows, 1, 48, 48) uint8."""
    text = "".join(f"{row} {_END} " for row in rows.pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older NumPy warns at a letter, and stops reading there
            numbers = np.fromstring(text, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        numbers = np.empty(0, dtype=np.int64)
    if numbers.size == len(rows.pixels) * (PIXELS + 1):
        pixels = numbers.reshape(-1, PIXELS + 1)[:, :PIXELS]
        # If rows have different lengths, an `_END` stands among the pixels.
        if pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 255:
            return pixels.astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
    raise UserError(f"{where}, {_describe_fault(rows)}; fix or remove the row")


def _describe_fault(rows: _Rows) -> str:
    """Describes the first row with bad pixels and names its line; slow, so only called if there is such a row."""
    for line, text in zip(rows.lines, rows.pixels, strict=True):
        words = text.encode().split()  # bytes have the same blanks and digits as in C
        bad = next((word for word in words if not (word.isdigit() and len(word) < 10 and int(word) <= 255)), None)
        if bad is not None:
            return f"line {line}: pixel {bad[:20].decode(errors='replace')!r} is no whole number from 0 to 255"
        if len(words) != PIXELS:
            return f"line {line}: {len(words):,} pixels instead of 2,304 (48 x 48)"
    raise AssertionError("no row has bad pixels")


def _labels(rows: _Rows, where: str) -> np.ndarray:
    numbers = {str(label): label for label in range(len(EXPRESSIONS))}
    labels = _look_up(rows.emotion, numbers)
    if None in labels:
        row = labels.index(None)
        raise UserError(
            f"{where}, line {rows.lines[row]}: emotion {rows.emotion[row][:20]!r} is no whole number "
            "from 0 (angry) to 6 (neutral); fix or remove the row"
        )
    return np.array(labels, dtype=np.int64)


def _parts(lines: Sequence[int], usage: Sequence[str], where: str) -> np.ndarray:
    parts = _look_up(usage, USAGES)
    if None in parts:
        row = parts.index(None)
        raise UserError(
            f"{where}, line {lines[row]}: Usage {usage[row][:20]!r} is none of Training, PublicTest, PrivateTest; "
            "fix or remove the row"
        )
    return np.array(parts, dtype=np.int8)


def _look_up(words: Sequence[str], numbers: dict[str, int]) -> list[int | None]:
    return [numbers.get(word.strip().lower()) for word in words]
