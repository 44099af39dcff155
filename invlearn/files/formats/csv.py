"""CSV and TSV, compressed or not."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from invlearn.errors import UserError
from invlearn.files.table import CHUNK, SEPARATORS, Chunk, FileTable, check_width, readable
from invlearn.system.lazy import pd

__all__ = ["FORMAT"]

LOOKED_AT = 1_000
"""Number of rows that decide which columns are numbers."""

LONGEST_HEADER = 2**24
"""Largest size of the first line in bytes."""

LINE_END = re.compile(rb"[\r\n]")
"""End of a line; some spreadsheets write carriage returns alone."""

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""Texts that count as a missing number."""


class _Csv(FileTable):
    endings = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
    writes = True
    _is_read = False
    _has_whole_rows = False

    @property
    def _is_packed(self) -> bool:
        return self.path.suffix.lower() == ".gz"

    def open(self) -> None:
        """Read only the header, because a file without line feeds must not be read whole."""
        with gzip.open(self.file) if self._is_packed else nullcontext(self.file) as file:
            header = _header(file)
        if header is None:
            raise UserError(f"{self} is not a table: its first line has more than {LONGEST_HEADER:,} bytes")
        check_width(self, header.count(self._separator.encode()) + 1)

    def _read(self, file: BinaryIO | None = None, **options: Any) -> Any:
        if file is None:
            file = self.file
            file.seek(0)
        return pd.read_csv(
            file,
            sep=self._separator,
            compression="gzip" if self._is_packed else None,
            keep_default_na=False,
            low_memory=False,
            encoding="utf-8-sig",
            **options,
        )

    @property
    def _separator(self) -> str:
        return _separator(self.path)

    @cached_property
    def _head(self) -> pd.DataFrame:
        with readable(self.path), warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            head = self._read(nrows=LOOKED_AT, dtype=str, index_col=False)
            # pandas renames a second x to x.1, which may also be the name in the file.
            names = self._read(nrows=1, dtype=str, index_col=False, header=None).loc[0]
        if twice := [name for name in names[names.duplicated()] if name]:
            raise UserError(f"{self}: there are two columns {twice[0]}")
        return head

    @cached_property
    def columns(self) -> list[str]:
        return list(map(str, self._head.columns))

    def _hint(self, column: str) -> str:
        other = next((sign for sign in ";\t,|" if len(self.columns) == 1 and sign in self.columns[0]), None)
        if other:
            return f"; its header has {other!r} instead of {self._separator!r}: {SEPARATORS}"
        return super()._hint(column)

    @cached_property
    def numeric(self) -> list[str]:
        # One word in a column of numbers is a mistake in the file; it does not make the column text.
        named = [name for index, name in enumerate(self.columns) if name != f"Unnamed: {index}"]
        return [name for name in named if _mostly_numbers(self._head[name])]

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        numbers = [name for name in columns if name not in text]
        last = self.columns[-1]  # it is empty in rows that are too short, which pandas fills
        beside = [] if last in columns else [last]
        options = {"na_values": dict.fromkeys(numbers, MISSING), "dtype": dict.fromkeys([*text, *beside], str)}
        with readable(self.path), warnings.catch_warnings():
            # Without index_col=False a first row of too many fields would become row names; with it, they are lost.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            first_row = 1
            with self._alone() as file:
                options |= {"usecols": [*columns, *beside], "chunksize": CHUNK, "index_col": False}
                with self._read(file, **options) as frames:
                    for frame in frames:
                        if (frame[last].isna() | (frame[last] == "")).any():
                            self._refuse_short_rows()
                        yield Chunk(first_row, frame[list(columns)])
                        first_row += len(frame)

    def _refuse_short_rows(self) -> None:
        """Refuse a file with a row of too few fields, once.

        Raises:
            UserError: It names the row.
        """
        row, width = 0, len(self.columns)
        if self._has_whole_rows or width == 1:
            return
        opened = gzip.open if self._is_packed else open
        # A field may be larger than the reader allows; then no row is refused.
        with suppress(csv.Error), opened(self.path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self._separator)
            for fields in reader:
                if len(fields) <= 1 and not "".join(fields).strip():
                    continue  # a blank line, which pandas skips
                if row > 0 and len(fields) < width:
                    raise UserError(
                        f"{self.place(row)}, line {reader.line_num:,}: {len(fields)} of {width} fields; "
                        "is the file cut off?"
                    )
                row += 1
        self._has_whole_rows = True

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO | None]:
        """The open file or, while somebody is reading it, a second handle."""
        if self._is_read:
            with self.path.open("rb") as file:
                yield file
            return
        self._is_read = True
        try:
            yield None
        finally:
            self._is_read = False

    @classmethod
    @contextmanager
    def write(cls, path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
        """Write a file; yields a function that appends rows."""
        first = True

        def append(frame: pd.DataFrame) -> None:
            nonlocal first
            frame.to_csv(path, sep=_separator(path), index=False, header=first, mode="w" if first else "a")
            first = False

        yield append


def _separator(path: Path) -> str:
    return "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","


def _header(file: BinaryIO | gzip.GzipFile) -> bytes | None:
    """The first line that is not blank, which pandas also takes as the header; None if it is too long."""
    start = b""
    while more := file.read(max(len(start), 2**16)):
        start += more
        if LINE_END.search(start.lstrip()):
            break
        if len(start) >= LONGEST_HEADER:
            return None
    text = start.lstrip()
    blank = start.removesuffix(text)
    return LINE_END.split(blank)[-1] + LINE_END.split(text, 1)[0]


def _mostly_numbers(values: pd.Series) -> bool:
    given = values[~values.isin(MISSING)]
    # A column without values may be either; as a feature it is refused by name.
    return bool(pd.to_numeric(given, errors="coerce").notna().mean() > 0.5) if len(given) else True


FORMAT = _Csv
