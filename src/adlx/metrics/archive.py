"""Files of results: an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adlx.atomic import replacing
from adlx.errors import UserError


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


@contextmanager
def read_arrays(path: str | Path, kind: str, text: str | None = None) -> Iterator[Mapping[str, np.ndarray]]:
    """Yields the arrays of a file by name. Build the result inside the `with` block: its errors name the file, too.

    Args:
        path: the file.
        kind: the kind of result, for error messages.
        text: the name of the one array that holds text; all others hold numbers.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            yield _TypedArrays(archive, text)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except _DAMAGE as error:
        detail = " ".join(str(error).split())
        raise UserError(f"{path} holds no {kind} result ({detail}): restore it, or train the run again") from None


_DAMAGE = (
    *(KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, EOFError, OSError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)


class _TypedArrays(Mapping[str, np.ndarray]):
    """The arrays of an archive; reading one of the wrong type raises ValueError."""

    def __init__(self, arrays: Mapping[str, np.ndarray], text: str | None) -> None:
        self.arrays, self.text = arrays, text

    def __getitem__(self, name: str) -> np.ndarray:
        array = self.arrays[name]
        if array.dtype.kind not in ("U" if name == self.text else "biufM"):
            raise ValueError(f"{name} is {array.dtype}, and must be {'text' if name == self.text else 'numbers'}")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
