"""Picture files below a folder: their names and their pixels."""

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from adlx.errors import UserError

log = logging.getLogger("adlx")

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".avif"),
    *(".jp2", ".j2k", ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".ico"),
)
WHITE = (255, 255, 255, 255)

_CHUNK = 256  # pictures that are decoded together, and wait in memory


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures; files that cannot be read are left out.

    Args:
        values: (N, channels, height, width) uint8.
        kept: N indices of the files that can be read, ascending.
        with_alpha: number of pictures with an alpha channel; they are drawn on white.
    """

    values: np.ndarray
    kept: list[int]
    with_alpha: int


def list_pictures(root: Path) -> list[str]:
    """Lists the sorted paths below the folder of all files with the suffix of a picture; logs the other files.

    Raises:
        UserError: the folder does not exist, or has no picture.
    """
    if not root.exists():
        raise UserError(f"data.path={root} does not exist; check the spelling and the folder you are in")
    if not root.is_dir():
        raise UserError(f"data.path={root} is a file; name the folder that holds the pictures")
    files = sorted(file.relative_to(root).as_posix() for file in _files_in(root))
    names = [name for name in files if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if names and (others := [name for name in files if PurePosixPath(name).suffix.lower() not in SUFFIXES]):
        log.info(f"{root.resolve().name}: ignored {_list(others)}: the suffix is not one of a picture")
    if not names:
        raise UserError(f"data.path={root} holds no picture ({', '.join(SUFFIXES)}); name a folder with pictures")
    return names


def _files_in(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Lists all files below a folder. Links to folders are followed, except links to a folder above."""
    above = (*above, folder.resolve())
    files = []
    for entry in visible_entries(folder):
        if not entry.is_dir():
            files.append(entry)
        elif entry.resolve() not in above:
            files += _files_in(entry, above)
    return files


def visible_entries(folder: Path) -> list[Path]:
    """Lists the entries of a folder without hidden ones, and without `__MACOSX`, which archives from a Mac contain."""
    return [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]


def subfolders(folder: Path) -> list[Path]:
    return [entry for entry in visible_entries(folder) if entry.is_dir()]


def check_shape(size: tuple[int, int], channels: int, where: str) -> None:
    """Raises UserError if no picture can have this shape."""
    if channels not in (1, 3):
        raise UserError(f"{where}: pictures of {channels} channels are not possible; choose 1 (grey) or 3 (RGB)")
    if min(size) < 1:
        raise UserError(f"{where}: pictures of {size[0]} x {size[1]} pixels are not possible; choose at least 1 x 1")


def load_pictures(root: Path, names: list[str], size: tuple[int, int], channels: int) -> Pictures:
    """Decodes pictures into memory; arguments and errors are those of `decode`."""
    values = np.empty((len(names), channels, *size), dtype=np.uint8)
    kept, with_alpha = [], 0
    for picture in decode(root, names, size, channels):
        values[len(kept)] = picture.pixels
        kept.append(picture.number)
        with_alpha += picture.has_alpha
    return Pictures(values[: len(kept)], kept, with_alpha)


class DecodedPicture(NamedTuple):
    """Index of a file, its pixels (channels, height, width) uint8, and whether it has an alpha channel."""

    number: int
    pixels: np.ndarray
    has_alpha: bool


def decode(root: Path, names: list[str], size: tuple[int, int], channels: int) -> Iterator[DecodedPicture]:
    """Decodes each picture that can be read, in the order of the files.

    Args:
        root: the folder of the pictures.
        names: paths of the files below it.
        size: height and width to crop (from the middle) and scale the pictures to.
        channels: 1 grey, 3 RGB.

    Raises:
        UserError: no picture can be read.
    """

    def attempt(name: str) -> tuple[np.ndarray, bool] | Exception:
        try:
            return pixels(root / name, size, channels), has_alpha(root / name)
        except Exception as error:  # decoders raise errors of many types for broken files
            return error

    def attempt_all(names: list[str], pool: ThreadPoolExecutor) -> list[tuple[np.ndarray, bool] | Exception]:
        with warnings.catch_warnings():
            # Pillow warns about pictures that it can read, such as those with a damaged EXIF block.
            warnings.simplefilter("ignore")
            return list(pool.map(attempt, names))

    reason, all_failed = None, True
    with ThreadPoolExecutor() as pool:  # Pillow releases Python's global lock while it decodes
        for start in range(0, len(names), _CHUNK):
            for number, result in enumerate(attempt_all(names[start : start + _CHUNK], pool), start):
                if isinstance(result, Exception):
                    reason = reason or result
                else:
                    all_failed = False
                    yield DecodedPicture(number, *result)
    if all_failed:
        where = root.resolve().name
        why = f"{names[0]}: {' '.join(str(reason).replace(str(root), where).split())[:120]}"
        raise UserError(f"{where} holds no picture that can be read (tried {len(names):,}); {why}") from reason


def pixels(file: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """Decodes one picture (channels, height, width): turned upright, cropped from the middle, scaled without aliasing.

    Transparent pixels are drawn on white.
    """
    with Image.open(file) as stored:
        picture = ImageOps.exif_transpose(stored)
        if picture.mode.startswith("I"):  # 16 bits: Pillow would clip them at 255 instead of scaling them
            picture = Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        elif picture.mode == "F":
            raise ValueError("a picture of floats does not define which value is white")
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
    # `fit` crops first; the LANCZOS filter widens when the picture shrinks, so nothing aliases.
    scaled = ImageOps.fit(picture, (size[1], size[0]), method=Image.Resampling.LANCZOS)
    return np.asarray(scaled).reshape(*size, channels).transpose(2, 0, 1)


def has_alpha(file: Path) -> bool:
    with Image.open(file) as picture:
        return picture.has_transparency_data


def log_what_was_read(where: str, names: list[str], pictures: Pictures) -> None:
    """Logs a warning that names the unreadable pictures, and a line about alpha channels."""
    readable = set(pictures.kept)
    if skipped := [name for index, name in enumerate(names) if index not in readable]:
        log.warning(f"{where}: skipped {len(skipped):,} of {len(names):,} pictures, unreadable: {_list(skipped)}")
    if pictures.with_alpha:
        log.info(f"{where}: {pictures.with_alpha:,} of {len(names):,} pictures have an alpha channel, drawn on white")


def _list(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
