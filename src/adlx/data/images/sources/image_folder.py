"""Pictures in folders with one folder per class, the usual layout of image data sets."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from adlx.data.images.sources.expressions import EXPRESSIONS, expression_of
from adlx.data.images.sources.picture_cache import cached_pictures
from adlx.data.images.sources.pictures import (
    check_shape,
    list_pictures,
    load_pictures,
    log_what_was_read,
    subfolders,
)
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError

log = logging.getLogger("adlx")

PART_NAMES = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), 1),
    **dict.fromkeys(("test", "testing", "privatetest"), 2),
}


@dataclass(frozen=True)
class _Picture:
    """Path of a picture below the root, the part that it is in, and the folder of its class; None if there is none."""

    name: str
    part: int | None
    folder: str | None


def read_image_folder(path: str | Path, size: tuple[int, int] = (48, 48), channels: int = 1) -> Samples:
    """Reads `path/<class>/**/*.png` (or another suffix of a picture; of an animation the first frame).

    The class folders may lie in folders `train`, `validation` and `test`, or in folders with the names of FER2013's
    parts. Without class folders the labels are -1. Classes are sorted by name; facial expressions have the order and
    the names of FER2013. A picture that cannot be read is named in a warning and left out.

    Args:
        path: the folder.
        size: height and width to crop (from the middle) and scale the pictures to.
        channels: 1 grey, 3 RGB.

    Returns:
        (N, channels, height, width) images, sorted by name; the name is the path below the folder.

    Raises:
        UserError: the folder does not exist, has no picture, has a class folder without a picture, or has pictures both
            inside and outside of class folders; the message is one line.
    """
    root = Path(path).expanduser()
    where = root.resolve().name
    check_shape(size, channels, where)
    names = list_pictures(root)
    pictures = _parts_and_classes(names, where)
    decoded = load_pictures(root, names, size, channels)
    log_what_was_read(where, names, decoded)
    _check_classes(root, pictures, decoded.kept, where)
    return _samples(where, decoded.values, [pictures[index] for index in decoded.kept])


def read_any_folder(path: str | Path, size: tuple[int, int], channels: int = 3) -> Samples:
    """Reads every picture below `path` in any layout, through the cache.

    If there are two or more class folders, labels and parts are those of `read_image_folder`, but a folder without a
    picture is no class. In any other layout no picture has a label. If the folders contradict each other, there are no
    parts either.

    Args, returns: as `read_image_folder`. The images are a memory-mapped file; a write changes only the copy in memory.

    Raises:
        UserError: the folder does not exist, or holds no picture that can be read; the message is one line.
    """
    root = Path(path).expanduser()
    where = root.resolve().name
    check_shape(size, channels, where)
    names = list_pictures(root)
    decoded = cached_pictures(root, names, size, channels)
    log_what_was_read(where, names, decoded)
    try:
        pictures = _parts_and_classes(names, where)
    except UserError as error:
        log.info("the folders give no classes and no parts: %s", error)
        pictures = [_Picture(name, None, None) for name in names]
    samples = _samples(where, decoded.values, [pictures[index] for index in decoded.kept])
    if samples.parts is not None and not (samples.parts == 0).any():  # such as a single folder `test`
        samples = replace(samples, parts=None)
    if len(samples.classes) < 2:
        samples = samples.without_labels()
    return samples


def _samples(where: str, values: np.ndarray, pictures: list[_Picture]) -> Samples:
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


def _parts_and_classes(names: list[str], where: str) -> list[_Picture]:
    """Reads the part and the class of each picture from its path.

    Raises:
        UserError: the folders contradict each other.
    """
    tops = sorted({name.split("/")[0] for name in names if "/" in name})
    in_parts = [top for top in tops if top.lower() in PART_NAMES]
    others = [top for top in tops if top not in in_parts]
    # A single part name among other folders is a class, such as trains next to cars and planes.
    if len(in_parts) > 1 and others:
        raise UserError(
            f"{where} holds the parts {', '.join(in_parts)} and also the folder {others[0]}; move it into a part"
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
    # A picture outside of the parts is reported before a picture that only has no class.
    loose = min(unclassed, key=lambda picture: picture.part is not None, default=None)
    if loose is None or not (classed or (in_parts and loose.part is None)):
        return
    name = PurePosixPath(where) / loose.name
    folders = f"class folders such as {classed.folder}" if classed else f"the parts {', '.join(in_parts)}"
    raise UserError(f"{name.parent} holds pictures such as {name.name} next to {folders}; move them into a folder")


def _check_classes(root: Path, pictures: list[_Picture], kept: list[int], where: str) -> None:
    """Raises UserError for a class folder without a picture, because no model can learn such a class."""
    if all(picture.folder is None for picture in pictures):
        return
    split = pictures[0].part is not None
    part_folders = [folder for folder in subfolders(root) if folder.name.lower() in PART_NAMES]
    parents = part_folders if split else [root]
    folders = sorted(folder.relative_to(root).as_posix() for parent in parents for folder in subfolders(parent))
    full = {"/".join(pictures[index].name.split("/")[: 1 + split]) for index in kept}
    empty = next((folder for folder in folders if folder not in full), None)
    if empty is not None:
        raise UserError(f"{where}: the class folder {empty} holds no picture that can be read; fill it or remove it")


def _classes(folders: list[str | None]) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the names of the classes, and (N,) int64 the class of each picture, -1 without a folder."""
    named = {folder: expression_of(folder) for folder in folders if folder is not None}
    if None in named.values():
        named = {folder: folder for folder in named}
        classes = tuple(sorted(named))
    else:
        classes = tuple(name for name in EXPRESSIONS if name in named.values())
    numbers = {folder: classes.index(name) for folder, name in named.items() if name is not None}
    return classes, np.array([-1 if folder is None else numbers[folder] for folder in folders], dtype=np.int64)
