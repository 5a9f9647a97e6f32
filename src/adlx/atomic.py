"""Writes files so that an interrupted write leaves no incomplete file."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from adlx.errors import WriteFailed


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that replaces `path` only when it is complete and on the disk.

    The temporary file is in the same folder, because a rename is atomic only within one file system. After a kill at
    any time, or an exception inside the block, `path` is unchanged.

    Raises:
        WriteFailed: the file cannot be written, such as on a full disk.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception as error:
        if (cause := _os_error(error)) is None:
            raise
        failed = WriteFailed(f"{path} cannot be written: {cause.strerror or cause}")
        failed.strerror = cause.strerror or str(cause)
        raise failed from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _os_error(error: BaseException | None) -> OSError | None:
    """The error of the operating system behind an error; PyTorch raises its own on top of it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error
