"""Pictures in folders, one folder a class, as data sets of images are mostly given out."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from adlx.data.images.sources.expressions import EXPRESSIONS, expression_of
from adlx.data.images.sources.picture_cache import cached_pictures
from adlx.data.images.sources.pictures import check_shape, load_pictures, log_what_was_read, names_below, visible
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
    check_shape(size, channels, where)
    names = names_below(root)
    placed = _placed(names, where)
    found = load_pictures(root, names, size, channels)
    log_what_was_read(where, names, found)
    _check_classes(root, placed, found.kept, where)
    return _samples(where, found.values, [placed[place] for place in found.kept])


def read_any_folder(path: str | Path, size: tuple[int, int], channels: int = 3) -> Samples:
    """Reads every picture below `path`, by way of the cache, whatever the layout.

    Two or more class folders, and parts above them, are found as in `read_image_folder`, but a folder without a picture
    is no class. In any other layout nothing is labelled, and where its parts and classes contradict each other the
    source says no parts either.

    Args, returns: as `read_image_folder`; the images are a memory-mapped file, of which a write changes the copy in
    memory alone.

    Raises:
        UserError: in one line, for a folder that is not there, or holds no picture that can be read.
    """
    root = Path(path).expanduser()
    where = root.resolve().name
    check_shape(size, channels, where)
    names = names_below(root)
    found = cached_pictures(root, names, size, channels)
    log_what_was_read(where, names, found)
    try:
        placed = _placed(names, where)
    except UserError as error:
        log.info("the folders give no classes and no parts: %s", error)
        placed = [_Picture(name, None, None) for name in names]
    samples = _samples(where, found.values, [placed[place] for place in found.kept])
    if samples.parts is not None and not (samples.parts == 0).any():  # such as the pictures of one folder, `test`
        samples = replace(samples, parts=None)
    if len(samples.classes) < 2:
        samples = samples.without_labels()
    return samples


def _samples(where: str, values: np.ndarray, placed: list[_Picture]) -> Samples:
    classes, labels = _classes([picture.folder for picture in placed])
    parts = [picture.part for picture in placed]
    return Samples(
        values=values,
        labels=labels,
        classes=classes,
        source="folder",
        detail=f"{where} ({len(values):,} pictures)",
        parts=None if None in parts else np.array(parts, dtype=np.int8),
        names=tuple(picture.name for picture in placed),
    )


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


def _check_classes(root: Path, pictures: list[_Picture], kept: list[int], where: str) -> None:
    """Refuses a folder of a class without a picture: it would be a class that no model can learn."""
    if all(picture.folder is None for picture in pictures):
        return
    split = pictures[0].part is not None
    above = (
        [entry for entry in visible(root) if entry.is_dir() and entry.name.lower() in PART_NAMES] if split else [root]
    )
    folders = sorted(entry.relative_to(root).as_posix() for top in above for entry in visible(top) if entry.is_dir())
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
