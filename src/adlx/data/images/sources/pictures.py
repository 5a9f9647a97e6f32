"""Files of pictures below a folder: which there are, and their pixels."""

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from adlx.errors import UserError

log = logging.getLogger("adlx")

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm")

_AT_ONCE = 256  # decoded pictures that wait in memory, at most


@dataclass(frozen=True)
class Pictures:
    """What can be read of some files.

    Args:
        values: (N, channels, height, width) uint8.
        kept: N places of the files among those that were asked for, ascending.
    """

    values: np.ndarray
    kept: list[int]


def names_below(root: Path) -> list[str]:
    """Paths below the folder, sorted, of all files that a suffix calls a picture.

    Raises:
        UserError: there is no such folder, or no picture in it.
    """
    if not root.exists():
        raise UserError(f"data.path={root} does not exist; check the spelling and the folder you are in")
    if not root.is_dir():
        raise UserError(f"data.path={root} is a file; name the folder that holds the pictures")
    names = sorted(file.relative_to(root).as_posix() for file in _pictures_in(root))
    if not names:
        raise UserError(f"data.path={root} holds no picture ({', '.join(SUFFIXES)}); name a folder with pictures")
    return names


def _pictures_in(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Data sets are often linked together, so links to folders are followed, but never back up."""
    above = (*above, folder.resolve())
    found = []
    for entry in visible(folder):
        if not entry.is_dir():
            found += [entry] if entry.suffix.lower() in SUFFIXES else []
        elif entry.resolve() not in above:
            found += _pictures_in(entry, above)
    return found


def visible(folder: Path) -> list[Path]:
    """Archives packed on a Mac bring a second, hollow copy of every file in `__MACOSX`."""
    return [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]


def check_shape(size: tuple[int, int], channels: int, where: str) -> None:
    """Refuses, by UserError, a shape that no picture can have."""
    if channels not in (1, 3):
        raise UserError(f"{where}: pictures of {channels} channels are not possible; choose 1 (grey) or 3 (RGB)")
    if min(size) < 1:
        raise UserError(f"{where}: pictures of {size[0]} x {size[1]} pixels are not possible; choose at least 1 x 1")


def load_pictures(root: Path, names: list[str], size: tuple[int, int], channels: int) -> Pictures:
    """The pictures in memory; as `decode`."""
    values = np.empty((len(names), channels, *size), dtype=np.uint8)
    kept = []
    for place, found in decode(root, names, size, channels):
        values[len(kept)] = found
        kept.append(place)
    return Pictures(values[: len(kept)], kept)


def decode(root: Path, names: list[str], size: tuple[int, int], channels: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the place and the pixels (channels, height, width) of each picture that can be read, in their order.

    Args:
        root: the folder that the names are below.
        names: of the files.
        size: height and width to crop (from the middle) and scale the pictures to.
        channels: 1 grey, 3 RGB.

    Raises:
        UserError: none of them can be read.
    """

    def attempt(name: str) -> np.ndarray | Exception:
        try:
            return pixels(root / name, size, channels)
        except Exception as error:  # decoders raise errors of any type for broken files
            return error

    def attempt_all(names: list[str], pool: ThreadPoolExecutor) -> list[np.ndarray | Exception]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's on pictures that it can read, such as a damaged EXIF block
            return list(pool.map(attempt, names))

    reason, none_yet = None, True
    with ThreadPoolExecutor() as pool:  # Pillow decodes without Python's global lock
        for start in range(0, len(names), _AT_ONCE):
            for place, found in enumerate(attempt_all(names[start : start + _AT_ONCE], pool), start):
                if isinstance(found, np.ndarray):
                    none_yet = False
                    yield place, found
                else:
                    reason = reason or found
    if none_yet:
        where = root.resolve().name
        why = f"{names[0]}: {' '.join(str(reason).replace(str(root), where).split())[:120]}"
        raise UserError(f"{where} holds no picture that can be read (tried {len(names):,}); {why}") from reason


def pixels(file: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """One picture (channels, height, width): turned upright, cropped from the middle, scaled without aliasing."""
    with Image.open(file) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255 instead of scaling
            picture = Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        elif picture.mode == "F":
            raise ValueError("a picture of floats does not say which value is white")
        picture = picture.convert("L" if channels == 1 else "RGB")
    # The crop comes first inside `fit`, and LANCZOS widens with the reduction, so nothing aliases.
    fitted = ImageOps.fit(picture, (size[1], size[0]), method=Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(*size, channels).transpose(2, 0, 1)


def warn_about_skipped(where: str, names: list[str], kept: list[int]) -> None:
    """Names the pictures that cannot be read in a warning."""
    readable = set(kept)
    skipped = [name for place, name in enumerate(names) if place not in readable]
    if skipped:
        more = f" and {len(skipped) - 5:,} more" if len(skipped) > 5 else ""
        listed = ", ".join(skipped[:5]) + more
        log.warning(
            "%s: skipped %s of %s pictures, unreadable: %s", where, f"{len(skipped):,}", f"{len(names):,}", listed
        )
