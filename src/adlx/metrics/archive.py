"""Results on disk: an .npz of plain arrays, nothing pickled, that is whole or not there."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adlx.atomic import replacing
from adlx.errors import UserError


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a file by name, to make a result of `kind` from within the block.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} holds no {kind} result ({error})") from None
