"""Reads a file into columns, as they stand there: CSV and other text, Parquet, Excel, or a folder of such files."""

import logging
import zipfile
import zlib
from pathlib import Path

import pandas as pd

from adlx.data.series.reading.dialect import dialect_of
from adlx.data.series.reading.options import ReadOptions
from adlx.errors import UserError

log = logging.getLogger("adlx")

PARQUET, EXCEL = (".parquet", ".pq"), (".xlsx", ".xlsm")
TEXT = (".csv", ".tsv", ".txt", ".dat")
COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
FILE = "file"
"""Column that names the file of each row, in a table read from a folder."""


def read_columns(path: Path, options: ReadOptions) -> pd.DataFrame:
    """The columns of a file, or of all files of a folder one below the other.

    Raises:
        UserError: there is nothing to read.
    """
    if path.is_dir():
        return _read_folder(path, options)
    if not path.exists():
        raise UserError(f"data.path={path} does not exist; check the spelling and the folder you are in")
    suffix = next((suffix.lower() for suffix in reversed(path.suffixes)), "")
    kind = "Parquet" if suffix in PARQUET else "Excel" if suffix in EXCEL else "CSV (UTF-8 text)"
    try:
        if suffix in PARQUET:
            frame = pd.read_parquet(path)
        elif suffix in EXCEL:
            frame = pd.read_excel(path, engine="openpyxl")
        else:
            frame = _read_text(path, options)
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path.name} is empty; give a CSV or Parquet file with a header and rows") from error
    except ImportError as error:
        raise UserError(f"{path.name} is an Excel file: pip install 'adlx[excel]'") from error
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, pd.errors.ParserError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path.name} cannot be read as {kind}: {_one_line(error)}") from error
    return columns_of(frame)


def columns_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose index, if it is more than row numbers, has become columns, and whose names are text."""
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    names = [" ".join(map(str, name)).strip() if isinstance(name, tuple) else str(name) for name in frame.columns]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise UserError(f"two columns are named {twice}; give every column a name of its own")
    return frame.set_axis(names, axis=1)


def _read_folder(folder: Path, options: ReadOptions) -> pd.DataFrame:
    readable = (*TEXT, *PARQUET, *EXCEL)
    names = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    paths = [path for path in names if {suffix.lower() for suffix in path.suffixes} & set(readable)]
    if not paths:
        raise UserError(f"data.path={folder} is a folder without a CSV, Parquet or Excel file")
    if others := len(names) - len(paths):
        log.info("%s: %d file(s) of other kinds are not read", folder.name, others)
    frames = [read_columns(path, options).assign(**{FILE: _stem(path)}) for path in paths]
    first = [name for name in frames[0] if name != FILE]
    for path, frame in zip(paths, frames, strict=True):
        if [name for name in frame if name != FILE] != first:
            raise UserError(
                f"{path.name} has the columns {', '.join(map(str, frame.columns[:-1]))}, and {paths[0].name} has "
                f"{', '.join(first)}; all files of a folder must have the same columns"
            )
    return pd.concat(frames, ignore_index=True)


def _stem(path: Path) -> str:
    """The name of a file without `.csv.gz` and the like; other points are part of the name, as in `BRK.B.csv`."""
    name = path.name
    for suffixes in (COMPRESSED, (*TEXT, *PARQUET, *EXCEL)):
        name = next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)
    return name


def _read_text(path: Path, options: ReadOptions) -> pd.DataFrame:
    dialect = dialect_of(path)
    for note in dialect.notes:
        log.info("%s: %s", path.name, note)
    return pd.read_csv(
        path,
        sep=dialect.separator,
        names=list(dialect.names),
        header=None,
        skiprows=dialect.skipped,
        skipinitialspace=True,
        na_values=list(options.na_values),
        index_col=False,
        encoding="utf-8-sig",
        low_memory=False,
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
