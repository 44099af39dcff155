"""Files of named columns, read piece by piece: CSV, Parquet, NPZ and NPY."""

from __future__ import annotations

import hashlib
import re
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from invlearn.errors import UserError, nearest

__all__ = ["FORMATS", "Piece", "Table", "fingerprint", "open_table"]

PIECE = 65_536
"""Rows read at a time."""

SEPARATORS = "commas separate fields in .csv, tabs in .tsv"
"""What to know of files whose fields do not come apart."""

LOOKED_AT = 1_000
"""Rows of a CSV file that tell which of its columns are numbers."""

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""What counts as a missing number in a CSV file."""


class Piece(NamedTuple):
    """Some rows of a table."""

    first_row: int
    """The number of the first of them; a table's rows are counted from 1, and its header is none."""
    frame: pd.DataFrame
    """Their columns."""


class Table(ABC):
    """A file of named columns. Nothing in it can run code.

    Args:
        path: The file.

    Raises:
        UserError: It cannot be read, or has no columns.
    """

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the columns, in their order."""

    @cached_property
    @abstractmethod
    def numeric(self) -> list[str]:
        """Names of those that hold numbers, and are not the row numbers that pandas writes along."""

    @abstractmethod
    def pieces(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Piece]:
        """The rows, in their order and in pieces.

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


class _Csv(Table):
    def __init__(self, path: Path):
        super().__init__(path)
        self.separator = "\t" if ".tsv" in path.suffixes else ","

    def _read(self, **options: Any) -> Any:
        return pd.read_csv(
            self.path, sep=self.separator, keep_default_na=False, low_memory=False, encoding="utf-8-sig", **options
        )

    @cached_property
    def _head(self) -> pd.DataFrame:
        with _readable(self.path), warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            head = self._read(nrows=LOOKED_AT, dtype=str, index_col=False)
        if twice := [name for name in head.columns if name.endswith(".1") and name[:-2] in head.columns]:
            raise UserError(f"{self}: there are two columns {twice[0][:-2]}")
        return head

    @cached_property
    def columns(self) -> list[str]:
        return list(map(str, self._head.columns))

    def _hint(self, column: str) -> str:
        other = next((sign for sign in ";\t,|" if len(self.columns) == 1 and sign in self.columns[0]), None)
        if other:
            return f"; its header holds no {self.separator!r} but {other!r}: {SEPARATORS}"
        return super()._hint(column)

    @cached_property
    def numeric(self) -> list[str]:
        # One word in a column of numbers is a mistake in the file; it does not make the column text.
        named = [name for place, name in enumerate(self.columns) if name != f"Unnamed: {place}"]
        return [name for name in named if _mostly_numbers(self._head[name])]

    def pieces(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Piece]:
        numbers = [name for name in columns if name not in text]
        options = {"na_values": dict.fromkeys(numbers, MISSING), "dtype": dict.fromkeys(text, str)}
        with _readable(self.path), warnings.catch_warnings():
            # Without index_col=False a first row of too many fields would become row names; with it, they are lost.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            pieces = self._read(usecols=list(columns), chunksize=PIECE, index_col=False, **options)
            first_row = 1
            with pieces:
                for frame in pieces:
                    yield Piece(first_row, frame[list(columns)])
                    first_row += len(frame)


class _Parquet(Table):
    def __init__(self, path: Path):
        super().__init__(path)
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise UserError(f"{path}: Parquet needs pyarrow: pip install 'invlearn[data]'") from error
        with _readable(path):
            self.file = parquet.ParquetFile(path, pre_buffer=False)  # which would keep all of the file in memory

    @cached_property
    def columns(self) -> list[str]:
        return list(self.file.schema_arrow.names)

    @cached_property
    def numeric(self) -> list[str]:
        numbers = self._of_type("integer", "floating", "decimal")
        return [name for name in numbers if not re.fullmatch(r"__index_level_\d+__", name)]

    def _of_type(self, *kinds: str) -> list[str]:
        from pyarrow import types

        tests = [getattr(types, f"is_{kind}") for kind in kinds]
        return [field.name for field in self.file.schema_arrow if any(is_kind(field.type) for is_kind in tests)]

    @property
    def remark(self) -> str:
        lists = self._of_type("list", "large_list", "fixed_size_list")
        return f"; {lists[0]} holds lists: write a column for each of their numbers" if lists else ""

    def pieces(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Piece]:
        first_row = 1
        with _readable(self.path):
            for batch in self.file.iter_batches(PIECE, columns=list(columns)):
                frame = batch.select(list(columns)).to_pandas(ignore_metadata=True)
                yield Piece(first_row, frame)
                first_row += len(frame)


class _Arrays(Table):
    """Arrays of one length: ``x`` of shape (n, d) gives columns ``x_0`` to ``x_{d-1}``, one of shape (n,) a column."""

    def __init__(self, path: Path):
        super().__init__(path)
        with _readable(path):
            if path.suffix == ".npz":
                with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                    self.arrays = {name: archive[name] for name in archive.files}
            else:
                array = np.load(path, allow_pickle=False, mmap_mode="r")
                fields = array.dtype.names
                self.arrays = {name: array[name] for name in fields} if fields else {"x": array}
        for name, array in self.arrays.items():
            if not isinstance(array, np.ndarray):
                raise UserError(f"{path}: {name} is no array")
            if array.ndim not in (1, 2):
                raise UserError(f"{path}: {name} has shape {array.shape}; it must be (rows,) or (rows, columns)")
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise UserError(f"{path}: its arrays differ in their number of rows: {listed}")

    @cached_property
    def _places(self) -> dict[str, tuple[str, int | None]]:
        places: dict[str, tuple[str, int | None]] = {}
        for name, array in self.arrays.items():
            indices = [None] if array.ndim == 1 else range(array.shape[1])
            found = {name if index is None else f"{name}_{index}": (name, index) for index in indices}
            if twice := next((column for column in found if column in places), None):
                raise UserError(f"{self}: there are two columns {twice}, of arrays {places[twice][0]} and {name}")
            places |= found
        return places

    @cached_property
    def columns(self) -> list[str]:
        return list(self._places)

    @cached_property
    def numeric(self) -> list[str]:
        return [name for name, (array, _) in self._places.items() if self.arrays[array].dtype.kind in "iuf"]

    def pieces(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Piece]:
        length = len(next(iter(self.arrays.values())))
        for start in range(0, length, PIECE):
            cut = {
                name: self.arrays[array][start : start + PIECE][... if index is None else (slice(None), index)]
                for name, (array, index) in ((name, self._places[name]) for name in columns)
            }
            yield Piece(start + 1, pd.DataFrame(cut))


FORMATS: dict[str, type[Table]] = {
    ".csv": _Csv,
    ".csv.gz": _Csv,
    ".tsv": _Csv,
    ".tsv.gz": _Csv,
    ".parquet": _Parquet,
    ".npz": _Arrays,
    ".npy": _Arrays,
}
"""Reader of each kind of file, by the end of its name."""


def open_table(path: str | Path) -> Table:
    """Open a file of named columns, whose format the end of its name tells.

    Raises:
        UserError: There is no such file, its format is unknown, it is empty, damaged, or holds Python objects.
    """
    path = Path(path)
    _check_file(path)
    ending = next((ending for ending in sorted(FORMATS, key=len, reverse=True) if path.name.endswith(ending)), None)
    if ending is None:
        raise UserError(f"{path}: files of this kind cannot be read; choose from: {', '.join(FORMATS)}")
    table = FORMATS[ending](path)
    if not table.columns:
        raise UserError(f"{path} has no columns")
    return table


def fingerprint(path: Path) -> str:
    """Sixteen hexadecimal digits that change with the file's content.

    Raises:
        UserError: There is no such file, or nothing in it.
    """
    _check_file(path)
    with _readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: 0 bytes")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
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
    except (OSError, EOFError, zipfile.BadZipFile, KeyError, NotImplementedError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read, or is damaged: {message}") from error


def _mostly_numbers(values: pd.Series) -> bool:
    given = values[~values.isin(MISSING)]
    # A column without a single value cannot tell; as a feature it is refused by name.
    return bool(pd.to_numeric(given, errors="coerce").notna().mean() > 0.5) if len(given) else True
