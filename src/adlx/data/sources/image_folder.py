"""Pictures in folders, one folder a class, as data sets of images are mostly given out."""

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from adlx.data.sources.expressions import EXPRESSIONS, expression_of
from adlx.data.sources.samples import Samples
from adlx.errors import UserError

log = logging.getLogger("adlx")

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm")
PART_NAMES = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), 1),
    **dict.fromkeys(("test", "testing", "privatetest"), 2),
}


@dataclass(frozen=True)
class _Picture:
    """Where a picture lies below the root; `part` is None without such folders, `folder` that of its class."""

    name: str
    part: int | None
    folder: str | None


def read_image_folder(path: str | Path, size: tuple[int, int] = (48, 48), channels: int = 1) -> Samples:
    """Reads `path/<class>/**/*.png` (or .jpg, .bmp, .webp, .gif, .tif, .pgm; the first frame of an animation).

    Above the classes may lie `train`, `validation` and `test`, also under the names of FER2013's parts; without classes
    the labels are -1. Classes are sorted by name, but folders of facial expressions come in the order of FER2013 and
    under its names. A picture that cannot be read is named in a warning and left out.

    Args:
        path: the folder.
        size: height and width to crop (from the middle) and scale the pictures to.
        channels: 1 grey, 3 RGB.

    Returns:
        (N, channels, height, width) images, sorted by their path below the folder, which is their name.

    Raises:
        UserError: in one line, for a folder that is not there, holds no picture, or none for one of its classes, or has
            pictures both beside and inside class folders.
    """
    root = Path(path).expanduser()
    where = root.resolve().name
    if channels not in (1, 3):
        raise UserError(f"{where}: pictures of {channels} channels are not possible; choose 1 (grey) or 3 (RGB)")
    if min(size) < 1:
        raise UserError(f"{where}: pictures of {size[0]} x {size[1]} pixels are not possible; choose at least 1 x 1")
    pictures = _placed(_names_below(root), where)
    values, kept = _load(root, [picture.name for picture in pictures], size, channels, where)
    _check_classes(root, pictures, kept, where)
    pictures = [pictures[place] for place in kept]
    classes, labels = _classes([picture.folder for picture in pictures])
    parts = [picture.part for picture in pictures]
    return Samples(
        values=values,
        labels=labels,
        classes=classes,
        source="folder",
        detail=f"{where} ({len(values):,} pictures)",
        parts=None if None in parts else np.array(parts, dtype=np.int8),
        names=tuple(picture.name for picture in pictures),
    )


def _names_below(root: Path) -> list[str]:
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
    for entry in _visible(folder):
        if not entry.is_dir():
            found += [entry] if entry.suffix.lower() in SUFFIXES else []
        elif entry.resolve() not in above:
            found += _pictures_in(entry, above)
    return found


def _visible(folder: Path) -> list[Path]:
    """Archives packed on a Mac bring a second, hollow copy of every file in `__MACOSX`."""
    return [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]


def _placed(names: list[str], where: str) -> list[_Picture]:
    """Finds the part and the class of each picture in its path."""
    tops = sorted({name.split("/")[0] for name in names if "/" in name})
    in_parts = [top for top in tops if top.lower() in PART_NAMES]
    others = [top for top in tops if top not in in_parts]
    # A single one among others is a class: trains beside cars and planes.
    if len(in_parts) > 1 and others:
        raise UserError(
            f"{where} holds the parts {', '.join(in_parts)} and beside them the folder {others[0]}; move it into a part"
        )
    split = bool(in_parts) and not others
    pictures = []
    for name in names:
        folders = PurePosixPath(name).parts[:-1]
        part = PART_NAMES[folders[0].lower()] if split and folders else None
        below = folders[1:] if split else folders
        pictures.append(_Picture(name, part, below[0] if below else None))
    _check_not_mixed(pictures, in_parts if split else [], where)
    return pictures


def _check_not_mixed(pictures: list[_Picture], in_parts: list[str], where: str) -> None:
    classed = next((picture for picture in pictures if picture.folder is not None), None)
    unclassed = [picture for picture in pictures if picture.folder is None]
    # With parts, a picture outside them is the plainer fault than one that only lacks a class.
    loose = min(unclassed, key=lambda picture: picture.part is not None, default=None)
    if loose is None or not (classed or (in_parts and loose.part is None)):
        return
    name = PurePosixPath(where) / loose.name
    beside = f"class folders such as {classed.folder}" if classed else f"the parts {', '.join(in_parts)}"
    raise UserError(f"{name.parent} holds pictures such as {name.name} beside {beside}; move them into a folder")


def _load(
    root: Path, names: list[str], size: tuple[int, int], channels: int, where: str
) -> tuple[np.ndarray, list[int]]:
    """The pictures that can be read, (N, channels, height, width), and their places among the names."""
    values = np.empty((len(names), channels, *size), dtype=np.uint8)
    kept, skipped, reason = [], [], None
    for place, name in enumerate(names):
        try:
            values[len(kept)] = _pixels(root / name, size, channels)
        except Exception as error:  # a decoder may trip over a broken file with any type of error
            skipped.append(name)
            reason = reason or error
        else:
            kept.append(place)
    if not kept:
        why = f"{names[0]}: {' '.join(str(reason).replace(str(root), where).split())[:120]}"
        raise UserError(f"{where} holds no picture that can be read (tried {len(names):,}); {why}") from reason
    if skipped:
        more = f" and {len(skipped) - 5:,} more" if len(skipped) > 5 else ""
        listed = ", ".join(skipped[:5]) + more
        log.warning(
            "%s: skipped %s of %s pictures, unreadable: %s", where, f"{len(skipped):,}", f"{len(names):,}", listed
        )
    return values[: len(kept)], kept


def _pixels(file: Path, size: tuple[int, int], channels: int) -> np.ndarray:
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


def _check_classes(root: Path, pictures: list[_Picture], kept: list[int], where: str) -> None:
    """Refuses a folder of a class without a picture: it would be a class that no model can learn."""
    if all(picture.folder is None for picture in pictures):
        return
    split = pictures[0].part is not None
    above = (
        [entry for entry in _visible(root) if entry.is_dir() and entry.name.lower() in PART_NAMES] if split else [root]
    )
    folders = sorted(entry.relative_to(root).as_posix() for top in above for entry in _visible(top) if entry.is_dir())
    full = {"/".join(pictures[place].name.split("/")[: 1 + split]) for place in kept}
    empty = next((folder for folder in folders if folder not in full), None)
    if empty is not None:
        raise UserError(f"{where}: the class folder {empty} holds no picture that can be read; fill it or remove it")


def _classes(folders: list[str | None]) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the classes and (N,) int64 places among them."""
    named = {folder: expression_of(folder) for folder in folders if folder is not None}
    if None in named.values():
        named = {folder: folder for folder in named}
        classes = tuple(sorted(named))
    else:
        classes = tuple(name for name in EXPRESSIONS if name in named.values())
    places = {folder: classes.index(name) for folder, name in named.items() if name is not None}
    return classes, np.array([-1 if folder is None else places[folder] for folder in folders], dtype=np.int64)
