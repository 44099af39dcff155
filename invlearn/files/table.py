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


class Place(NamedTuple):
    """Where a row of a table stands."""

    file: str
    """Name of its file."""
    row: int
    """Its number there, from 1."""

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}"


class Table(ABC):
    """Named columns, of files or a data frame."""

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
        """The rows, in their order and in chunks; a table without rows has an empty one. It may be called again.

        Args:
            columns: Columns to read.
            text: Those of them to be kept as they are written, ``007`` and all.
        """

    @property
    def length(self) -> int | None:
        """The number of rows; None where only reading the table tells it."""
        return None

    @property
    def described(self) -> str:
        """What a report calls the table."""
        return str(self)

    def place(self, row: int) -> Place:
        """Where to look for a row, counted from 1 over the whole table."""
        return Place(str(self), row)

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


class StoredTable(Table):
    """A table that lies in files.

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
        """What changes with the content, 32 bytes."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the content."""
        return self.digest.hex()[:16]


class FileTable(StoredTable):
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
        super().__init__(path)
        with readable(path):
            self.file: BufferedReader = path.open("rb")
            self.close = weakref.finalize(self, _close, self.file)
            """Close the file; that is done anyway once nothing refers to the table."""
            self.close.atexit = False
            self.open()

    def open(self) -> None:
        """Look at what is at the head of ``self.file``."""
        return

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the file, 32 bytes."""
        with readable(self.path):
            position = self.file.tell()
            self.file.seek(0)
            digest = hashlib.file_digest(self.file, "sha256").digest()
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


def check_width(table: Table, columns: int) -> None:
    """Refuse a table of more than 20,000 columns.

    Raises:
        UserError: It is.
    """
    if columns > MOST_COLUMNS:
        raise UserError(f"{table} has {columns:,} columns; the limit is {MOST_COLUMNS:,}")


def check_file(path: Path) -> None:
    """Refuse what is no regular file with something in it; a link counts as what it leads to.

    Raises:
        UserError: It says what is there instead.
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
