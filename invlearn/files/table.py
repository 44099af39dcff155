"""Tables: named columns, read chunk by chunk."""

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
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import ClassVar, NamedTuple

from invlearn.errors import UserError, nearest
from invlearn.system.lazy import pd

__all__ = [
    "CHUNK",
    "SEPARATORS",
    "Chunk",
    "FileTable",
    "Place",
    "StoredTable",
    "Table",
    "check_file",
    "check_width",
    "readable",
]

CHUNK = 65_536
"""Rows read at a time."""

MOST_COLUMNS = 20_000
"""Maximal number of columns of a table, because checking each takes time."""

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
"""Exceptions that libraries raise for damaged files."""

SEPARATORS = "commas separate fields in .csv, tabs in .tsv"
"""A hint for files whose fields are not separated."""


class Chunk(NamedTuple):
    """Some rows of a table."""

    first_row: int
    """The number of the first row; rows are counted from 1, without the header."""
    frame: pd.DataFrame
    """Columns of the rows."""


class Place(NamedTuple):
    """The place of a row in files."""

    file: str
    """Name of its file."""
    row: int
    """Its number in that file, from 1."""

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}"


class Table(ABC):
    """Named columns, of files or a data frame."""

    @cached_property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the columns, in order."""

    @cached_property
    @abstractmethod
    def numeric(self) -> list[str]:
        """Names of the columns of numbers, without the row numbers that pandas adds."""

    @abstractmethod
    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        """The rows in order, in chunks; a table without rows has one empty chunk. It may be called again.

        Args:
            columns: Columns to read.
            text: Columns among these to keep as text, such as ``007``.
        """

    @property
    def length(self) -> int | None:
        """The number of rows; None if only reading the table can tell."""
        return None

    @property
    def described(self) -> str:
        """Name of the table in a report."""
        return str(self)

    def place(self, row: int) -> Place:
        """The place of a row, counted from 1 over the whole table."""
        return Place(str(self), row)

    def require(self, columns: Sequence[str], key: str) -> None:
        """Refuse missing columns.

        Raises:
            UserError: A column is missing; it names the first one, and the setting that needs it.
        """
        for column in columns:
            if column not in self.columns:
                raise UserError(f"{self}: there is no column {column} ({key}){self._hint(column)}")

    def _hint(self, column: str) -> str:
        return nearest(column, self.columns)

    @property
    def remark(self) -> str:
        """A hint for a table without columns of numbers, after ``; ``."""
        return ""


class StoredTable(Table):
    """A table in files.

    Args:
        path: The file, the folder of the files, or their pattern.
    """

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    @abstractmethod
    def digest(self) -> bytes:
        """Hash of the content, 32 bytes."""

    @property
    def fingerprint(self) -> str:
        """Hash of the content in sixteen hexadecimal digits."""
        return self.digest.hex()[:16]


class FileTable(StoredTable):
    """A file of named columns. It is opened once, and cannot run code.

    A new format is a module of ``invlearn.files.formats`` with a ``FORMAT``, a subclass of this.

    Args:
        path: The file.

    Raises:
        UserError: It cannot be read, or has no columns.
    """

    endings: ClassVar[tuple[str, ...]]
    """Endings of such files."""
    writes: ClassVar[bool] = False
    """Whether the format has ``write``."""

    def __init__(self, path: Path):
        super().__init__(path)
        with readable(path):
            self.file: BufferedReader = path.open("rb")
            self.close = weakref.finalize(self, _close, self.file)
            """Close the file; this also happens when the table is garbage-collected."""
            self.close.atexit = False
            self.open()

    def open(self) -> None:
        """Read the header of ``self.file``."""
        return

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the file, 32 bytes."""
        with readable(self.path):
            position = self.file.tell()
            self.file.seek(0)
            digest = hashlib.file_digest(self.file, "sha256").digest()
            self.file.seek(position)  # somebody may still be reading there
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


def check_width(table: Table, columns: int) -> None:
    """Refuse a table of more than 20,000 columns.

    Raises:
        UserError: It has more.
    """
    if columns > MOST_COLUMNS:
        raise UserError(f"{table} has {columns:,} columns; the limit is {MOST_COLUMNS:,}")


def check_file(path: Path) -> None:
    """Refuse anything but a regular file with content; links are followed.

    Raises:
        UserError: The path is something else; it says what.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a file")
    if not path.exists():
        raise UserError(f"{path}: there is no such file")
    if not path.is_file():
        raise UserError(f"{path} is a pipe or a device; a table must be a regular file")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: 0 bytes")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn a library's read errors into a ``UserError`` that names the file."""
    try:
        yield
    except UserError:
        raise
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path} is empty") from error
    except pd.errors.ParserWarning as error:
        raise UserError(f"{path} cannot be read: a row has more fields than the header; {SEPARATORS}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read: it is not UTF-8 (byte {error.start:,}); save it as UTF-8") from error
    except ValueError as error:
        message = " ".join(str(error).split())
        if "allow_pickle" in message or "Python objects" in message:
            raise UserError(f"{path} has Python objects, which are refused; store numbers or text") from error
        # pandas counts lines, and rows are counted without the header
        raise UserError(f"{path} cannot be read: {message.removeprefix('Error tokenizing data. C error: ')}") from error
    except MemoryError as error:
        raise UserError(f"{path} cannot be read: not enough memory") from error
    except DAMAGE as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read, or is damaged: {message}") from error
