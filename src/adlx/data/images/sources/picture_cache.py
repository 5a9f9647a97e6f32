"""A cache of decoded pictures: the pixels of a folder in one memory-mapped file, named by a hash of the pictures."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL

from adlx.atomic import replacing
from adlx.caching import cache_folder, locked
from adlx.data.images.sources.pictures import DecodedPicture, Pictures, decode, load_pictures

log = logging.getLogger("adlx")

VERSION = 2
"""Version of the pixels that `decode` makes; raise it when the pixels change."""

_LOCK_SECONDS = 24 * 3600  # a million pictures take hours


def cached_pictures(root: Path, names: list[str], size: tuple[int, int], channels: int) -> Pictures:
    """Loads decoded pictures from the cache; decodes them if the file is missing or damaged.

    The name of the file has a SHA-256 of all names and bytes, so a changed picture is decoded again. If several
    processes start at once, one decodes and the others wait. If the cache cannot be written, a line says so and the
    pictures are decoded into memory.

    Args:
        root: the folder of the pictures.
        names: paths of the files below it.
        size: height and width to crop (from the middle) and scale the pictures to.
        channels: 1 grey, 3 RGB.

    Returns:
        the pixels as a memory map; a write changes only the copy in memory.

    Raises:
        UserError: no picture can be read.
    """
    key = _key(root, names, size, channels)
    path = cache_folder() / "pictures" / f"{key[:32]}_{size[0]}x{size[1]}x{channels}.npy"
    shape = (channels, *size)
    if (stored := _read(path, len(names), shape)) is not None:
        return stored
    with locked(path, "decodes the same pictures", _LOCK_SECONDS) as usable:
        if not usable:
            return load_pictures(root, names, size, channels)
        if (stored := _read(path, len(names), shape)) is not None:  # another process was first
            return stored
        if path.exists():
            log.info("cache: %s is damaged; decoding the pictures again", path)
        _remove_leftovers(path)
        try:
            _write(path, decode(root, names, size, channels), len(names), shape)
            stored = _read(path, len(names), shape)
        except OSError as error:
            log.info("cache: cannot write %s (%s); continuing without the cache", path, error.strerror)
    if stored is None:
        return load_pictures(root, names, size, channels)
    log.info(f"decoded {len(stored.kept):,} pictures to {size[0]} x {size[1]} into {path}")
    return stored


def _key(root: Path, names: list[str], size: tuple[int, int], channels: int) -> str:
    def digest(name: str) -> str:
        try:
            with open(root / name, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return "unreadable"

    key = hashlib.sha256(repr((VERSION, PIL.__version__, size, channels)).encode())
    with ThreadPoolExecutor() as pool:
        for name, file_digest in zip(names, pool.map(digest, names), strict=True):
            key.update(repr((name, file_digest)).encode())
    return key.hexdigest()


def _remove_leftovers(path: Path) -> None:
    """Removes temporary files of killed processes; the caller holds the lock."""
    for leftover in path.parent.glob(f".{path.stem}.*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def _write(path: Path, decoded: Iterator[DecodedPicture], count: int, shape: tuple[int, ...]) -> None:
    """Writes each picture as it is decoded, so that few are in memory, and a second file with facts about them."""
    digest, kept, with_alpha = hashlib.sha256(), [], 0
    with replacing(path) as file:
        start = _write_header(file, (count, *shape))
        for picture in decoded:
            row = picture.pixels.tobytes()
            file.write(row)
            digest.update(row)
            kept.append(picture.number)
            with_alpha += picture.has_alpha
        file.seek(0)
        assert _write_header(file, (len(kept), *shape)) == start  # the header has room for any number of rows
        readable = set(kept)
        facts = {
            "pixels": digest.hexdigest(),
            "unreadable": [index for index in range(count) if index not in readable],
            "with_alpha": with_alpha,
        }
        with replacing(_facts_path(path)) as facts_file:  # written first, so that stored pixels always have their facts
            facts_file.write(json.dumps(facts).encode())


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Writes the header of an npy of bytes; returns the position where the rows begin."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _read(path: Path, count: int, shape: tuple[int, ...]) -> Pictures | None:
    """Reads the stored pictures of `count` files; None if the files are missing or damaged."""
    try:
        facts = json.loads(_facts_path(path).read_bytes())
        unreadable, with_alpha = set(facts["unreadable"]), int(facts["with_alpha"])
        kept = [index for index in range(count) if index not in unreadable]
        values = np.lib.format.open_memmap(path, mode="c")
        has_shape = values.dtype == np.uint8 and values.shape == (len(kept), *shape)
        if not has_shape or hashlib.sha256(values.data).hexdigest() != facts["pixels"]:
            return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Pictures(values, kept, with_alpha)


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")
