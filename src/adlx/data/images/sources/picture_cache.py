"""Pictures that are decoded once: the pixels of a folder in one memory-mapped file, named after what the files hold."""

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
"""Of what `decode` makes of a file: one more whenever pixels come out otherwise."""

_LOCK_SECONDS = 24 * 3600  # a million pictures take hours


def cached_pictures(root: Path, names: list[str], size: tuple[int, int], channels: int) -> Pictures:
    """The pictures from a file in the cache folder, which is made if it is not there or is damaged.

    The file is named by a SHA-256 of all names and bytes, so a picture that changes is never served as it was. Of
    several processes that start at once, one decodes. A cache that fails is said aloud, and the pictures are then
    decoded into memory.

    Args:
        root: the folder that the names are below.
        names: of the files.
        size: height and width to crop (from the middle) and scale the pictures to.
        channels: 1 grey, 3 RGB.

    Returns:
        the pixels as a memory map, copied on a write.

    Raises:
        UserError: none of them can be read.
    """
    key = _key(root, names, size, channels)
    path = cache_folder() / "pictures" / f"{key[:32]}_{size[0]}x{size[1]}x{channels}.npy"
    shape = (channels, *size)
    if (found := _read(path, len(names), shape)) is not None:
        return found
    with locked(path, "decodes the same pictures", _LOCK_SECONDS) as usable:
        if not usable:
            return load_pictures(root, names, size, channels)
        if (found := _read(path, len(names), shape)) is not None:  # another process was first
            return found
        if path.exists():
            log.info("cache: %s is damaged; decoding the pictures again", path)
        _sweep(path)
        try:
            _write(path, decode(root, names, size, channels), len(names), shape)
            found = _read(path, len(names), shape)
        except OSError as error:
            log.info("cache: cannot write %s (%s); continuing without the cache", path, error.strerror)
    if found is None:
        return load_pictures(root, names, size, channels)
    log.info(f"decoded {len(found.kept):,} pictures to {size[0]} x {size[1]} into {path}")
    return found


def _key(root: Path, names: list[str], size: tuple[int, int], channels: int) -> str:
    def digest(name: str) -> str:
        try:
            with open(root / name, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return "unreadable"

    key = hashlib.sha256(repr((VERSION, PIL.__version__, size, channels)).encode())
    with ThreadPoolExecutor() as pool:
        for name, found in zip(names, pool.map(digest, names), strict=True):
            key.update(repr((name, found)).encode())
    return key.hexdigest()


def _sweep(path: Path) -> None:
    """Removes what killed processes have left; called under the lock."""
    for left in path.parent.glob(f".{path.stem}.*.tmp"):
        with contextlib.suppress(OSError):
            left.unlink()


def _write(path: Path, decoded: Iterator[DecodedPicture], count: int, shape: tuple[int, ...]) -> None:
    """Writes pictures as they come, so that no more than a few are in memory, and beside them which they are."""
    digest, kept, with_alpha = hashlib.sha256(), [], 0
    with replacing(path) as file:
        body = _header(file, (count, *shape))
        for picture in decoded:
            row = picture.pixels.tobytes()
            file.write(row)
            digest.update(row)
            kept.append(picture.number)
            with_alpha += picture.has_alpha
        file.seek(0)
        assert _header(file, (len(kept), *shape)) == body  # NumPy leaves room for any number of rows
        readable = set(kept)
        facts = {
            "pixels": digest.hexdigest(),
            "unreadable": [index for index in range(count) if index not in readable],
            "with_alpha": with_alpha,
        }
        with replacing(_beside(path)) as note:  # first, so that pixels that are there have their facts
            note.write(json.dumps(facts).encode())


def _header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Begins an npy of bytes of that shape; returns the place where its rows begin."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _read(path: Path, count: int, shape: tuple[int, ...]) -> Pictures | None:
    """What was written for `count` files; None where it is not there, or not what was written."""
    try:
        facts = json.loads(_beside(path).read_bytes())
        unreadable, with_alpha = set(facts["unreadable"]), int(facts["with_alpha"])
        kept = [index for index in range(count) if index not in unreadable]
        values = np.lib.format.open_memmap(path, mode="c")
        whole = values.dtype == np.uint8 and values.shape == (len(kept), *shape)
        if not whole or hashlib.sha256(values.data).hexdigest() != facts["pixels"]:
            return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Pictures(values, kept, with_alpha)


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")
