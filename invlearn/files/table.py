"""Tables: files of named columns, read and written chunk by chunk."""

from __future__ import annotations

import hashlib
import lzma
import struct
import tokenize
import weakref
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from pkgutil import iter_modules
from typing import ClassVar, NamedTuple

import pandas as pd

from invlearn.errors import UserError, nearest
from invlearn.system.storage import replacing

__all__ = [
    "CHUNK",
    "SEPARATORS",
    "Chunk",
    "FileTable",
    "Table",
    "check_width",
    "open_table",
    "readable",
    "table_writer",
]

CHUNK = 65_536
"""Rows read at a time."""

MOST_COLUMNS = 20_000
"""Columns of a table; each takes a while to look at."""

DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    TypeError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What libraries raise for files that are damaged."""

SEPARATORS = "commas separate fields in .csv, tabs in .tsv"
"""What to know of files whose fields do not come apart."""


class Chunk(NamedTuple):
    """Some rows of a table."""

    first_row: int
    """The number of the first of them; a table's rows are counted from 1, and its header is none."""
    frame: pd.DataFrame
    """Their columns."""


class Table(ABC):
    """Named columns, of a file or a data frame."""

    @cached_property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the columns, in their order."""

    @cached_property
    @abstractmethod
    def numeric(self) -> list[str]:
        """Names of those that hold numbers, and are not the row numbers that pandas writes along."""

    @abstractmethod
    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        """The rows, in their order and in chunks; a table without rows has an empty one.

        Args:
            columns: Columns to read.
            text: Those of them to be kept as they are written, ``007`` and all.
        """

    def require(self, columns: Sequence[str], key: str) -> None:
        """Refuse columns that are not there.

        Raises:
            UserError: It names the first of them, and the setting that asks for it.
        """
        for column in columns:
            if column not in self.columns:
                raise UserError(f"{self}: there is no column {column} ({key}){self._hint(column)}")

    def _hint(self, column: str) -> str:
        return nearest(column, self.columns)

    @property
    def remark(self) -> str:
        """What to know where no column of numbers is found, behind ``; ``."""
        return ""


class FileTable(Table):
    """A file of named columns. It is opened once; nothing in it can run code.

    A new format is a module of ``invlearn.files.formats`` with a ``FORMAT``, a subclass of this.

    Args:
        path: The file.

    Raises:
        UserError: It cannot be read, or has no columns.
    """

    endings: ClassVar[tuple[str, ...]]
    """How the names of such files end."""
    writes: ClassVar[bool] = False
    """Whether ``write`` is there."""

    def __init__(self, path: Path):
        self.path = path
        with readable(path):
            self.file: BufferedReader = path.open("rb")
            weakref.finalize(self, _close, self.file).atexit = False
            self.open()

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> None:
        """Look at what is at the head of ``self.file``."""
        return

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the file's content."""
        with readable(self.path):
            position = self.file.tell()
            self.file.seek(0)
            digest = hashlib.file_digest(self.file, "sha256").hexdigest()[:16]
            self.file.seek(position)  # where somebody may be reading on
        return digest

    @classmethod
    @contextmanager
    def write(cls, path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
        """Write a file; yields a function that appends rows, which all have the same columns."""
        raise NotImplementedError
        yield


def _close(file: BufferedReader) -> None:
    with suppress(OSError):  # nothing was written
        file.close()


class _Frame(Table):
    """A data frame."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame.rename(columns=str)
        if not self.frame.columns.is_unique:
            twice = self.frame.columns[self.frame.columns.duplicated()][0]
            raise UserError(f"{self}: there are two columns {twice}")

    def __str__(self) -> str:
        return "the data frame"

    @cached_property
    def columns(self) -> list[str]:
        return list(self.frame.columns)

    @cached_property
    def numeric(self) -> list[str]:
        return [name for name in self.columns if self.frame[name].dtype.kind in "iuf"]

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        for start in range(0, max(len(self.frame), 1), CHUNK):  # an empty one has a chunk too
            yield Chunk(start + 1, self.frame[list(columns)].iloc[start : start + CHUNK])


def open_table(source: str | Path | pd.DataFrame) -> Table:
    """Open a file of named columns, whose format the end of its name tells; a data frame is one already.

    Raises:
        UserError: There is no such file, its format is unknown, it is empty, damaged, or holds Python objects.
    """
    if isinstance(source, pd.DataFrame):
        table: Table = _Frame(source)
    elif not isinstance(source, str | Path):
        raise UserError(f"a file or a data frame is needed, got {type(source).__name__}")
    else:
        path = Path(source)
        _check_file(path)
        table = _format_of(path, _formats(), "read")(path)
    if not table.columns:
        raise UserError(f"{table} has no columns")
    check_width(table, len(table.columns))
    return table


def check_width(table: Table, columns: int) -> None:
    """Refuse a table of more than 20,000 columns.

    Raises:
        UserError: It is.
    """
    if columns > MOST_COLUMNS:
        raise UserError(f"{table} has {columns:,} columns; {MOST_COLUMNS:,} are the most that are read")


@contextmanager
def table_writer(path: Path, *, escape_formulas: bool = False) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Open a table for writing; what the end of its name says is its format. It is there whole or not at all.

    Args:
        path: The file; one that is there is replaced once the new one is whole.
        escape_formulas: Whether cells that a spreadsheet would take for formulas get a ``'`` before them.

    Yields:
        A function that appends rows; they all have the same columns.

    Raises:
        UserError: The format is unknown, or the file cannot be written.
    """
    form = _format_of(path, [form for form in _formats() if form.writes], "written")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no such folder")
    with replacing(path) as temporary, form.write(temporary) as append:
        yield (lambda frame: append(escaped(frame))) if escape_formulas else append


def escaped(frame: pd.DataFrame) -> pd.DataFrame:
    """A table in which no cell and no name of a column is taken for a formula: ``'`` stands before those that would be.

    Spreadsheets look past white space, and some take full-width signs. What they split at signs of their own, as a
    file opened as if semicolons separated its fields, is beyond this.

    Example:
        >>> escaped(pd.DataFrame({"id": ["=1+1", "a", "-2"]}))["id"].tolist()
        ["'=1+1", 'a', '-2']
    """
    signs = ("=", "+", "-", "@", "＝", "＋", "－", "＠")

    def is_formula(text: object) -> bool:
        return isinstance(text, str) and (text.startswith(("\t", "\r")) or text.lstrip().startswith(signs))

    def cells(column: pd.Series) -> pd.Series:
        if column.dtype.kind in "biufM":
            return column
        if isinstance(column.dtype, pd.CategoricalDtype):  # which takes no new values
            column = column.astype(object)
        formulas = column.map(is_formula).astype(bool) & pd.to_numeric(column, errors="coerce").isna()
        return column.where(~formulas, "'" + column.astype(str))

    named = {name: f"'{name}" for name in map(str, frame.columns) if is_formula(name)}
    return frame.apply(cells).rename(columns=named)


@cache
def _formats() -> list[type[FileTable]]:
    """The formats that there is a module for."""
    from invlearn.files import formats

    return [import_module(f"{formats.__name__}.{found.name}").FORMAT for found in iter_modules(formats.__path__)]


def _format_of(path: Path, formats: Sequence[type[FileTable]], done: str) -> type[FileTable]:
    for form in formats:
        if path.name.endswith(form.endings):
            return form
    known = ", ".join(ending for form in formats for ending in form.endings)
    raise UserError(f"{path}: files of this kind cannot be {done}; choose from: {known}")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a file")
    if not path.exists():
        raise UserError(f"{path}: there is no such file")
    if not path.is_file():
        raise UserError(f"{path} is a pipe or a device; tables are read from regular files")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: 0 bytes")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file where a library says that it cannot be read."""
    try:
        yield
    except UserError:
        raise
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path} is empty") from error
    except pd.errors.ParserWarning as error:
        raise UserError(f"{path} cannot be read: a row has more fields than the header; {SEPARATORS}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read: it is not in UTF-8 (byte {error.start:,}); save it so") from error
    except ValueError as error:
        message = " ".join(str(error).split())
        if "allow_pickle" in message or "Python objects" in message:
            raise UserError(f"{path} holds Python objects, which are not read; store numbers or text") from error
        # pandas counts lines, and rows are counted without the header
        raise UserError(f"{path} cannot be read: {message.removeprefix('Error tokenizing data. C error: ')}") from error
    except MemoryError as error:
        raise UserError(f"{path} cannot be read: it takes more memory than there is") from error
    except DAMAGE as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read, or is damaged: {message}") from error
