"""Parquet files of a folder or a pattern, read as one table."""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from invlearn.errors import UserError, nearest
from invlearn.files.formats.parquet import FORMAT, NOTHING, NUMBERS, ROW_NUMBERS
from invlearn.files.table import CHUNK, Chunk, Place, StoredTable, check_file
from invlearn.system.lazy import pd

__all__ = ["ENDING", "files_of", "is_many", "open_many"]

SIGNS = "*?["
"""Characters that make a path a pattern."""

ENDING = FORMAT.endings[0]
"""Ending of files that can be read as one table."""


def is_many(path: Path) -> bool:
    """Whether a path stands for several files: a folder, or a pattern that is not the name of a file."""
    return path.is_dir() or (not path.exists() and _is_pattern(path))


def files_of(path: Path) -> list[Path]:
    """The files that a path stands for, in the order of their names, 2 before 10; a file stands for itself.

    A folder stands for its ``.parquet`` files, without subfolders; a pattern for all files that it matches, where
    ``**`` includes subfolders. Names that begin with ``.`` or ``_`` are ignored, because programs use them for
    unfinished files and for files that are not data.
    """
    if path.is_dir():
        root, found = path, (file for file in path.iterdir() if file.name.lower().endswith(ENDING))
    elif is_many(path):
        # A folder may have the signs of a pattern in its name.
        root = next(folder for folder in path.parents if folder.exists())
        found = root.glob(str(path.relative_to(root)))
    else:
        return [path]
    names = {file.relative_to(root) for file in found}
    kept = [name for name in names if not any(part.startswith((".", "_")) for part in name.parts)]
    return [root / name for name in sorted(kept, key=_natural)]


def _is_pattern(path: Path | str) -> bool:
    return any(sign in str(path) for sign in SIGNS)


def _natural(name: Path) -> tuple[list[tuple[str, int]], str]:
    """Sort key of names that compares numbers in them by value."""
    parts = re.findall(r"([^0-9]*)([0-9]*)", str(name))
    return [(text, int(digits or -1)) for text, digits in parts], str(name)


class _Part(NamedTuple):
    """One of the files, as it was when it was checked."""

    path: Path
    length: int
    state: tuple[int, ...]
    """Identifies the file, to notice changes."""
    empty: list[str]
    """Columns without any value."""


def open_many(path: Path) -> StoredTable:
    """Open the Parquet files of a folder, or of a pattern, as one table.

    Args:
        path: The folder or the pattern.

    Raises:
        UserError: There are none, one cannot be read, or has other columns than the first.
    """
    return _ManyFiles(path)


class _ManyFiles(StoredTable):
    """Parquet files of the same columns, read one after another as one table.

    All are checked when the table is opened; after that only one is open at a time.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        files = files_of(path)
        if not files:
            raise UserError(_nothing_in(path))
        if other := next((file for file in files if not file.name.lower().endswith(ENDING)), None):
            raise UserError(f"{path} matches {other}; only {ENDING} files can be read together")
        self._kinds: dict[str, str] = {}
        self._parts: list[_Part] = []
        for file in files:
            with _opened(file) as table:
                self._parts.append(_Part(file, table.length, _state(table), self._checked(table, files[0])))
                self._remark = table.remark
        self._starts = [0, *accumulate(part.length for part in self._parts)]

    def _checked(self, table: FORMAT, first: Path) -> list[str]:
        """Columns of a file without values; refuse the file if others differ from those of earlier files.

        Raises:
            UserError: Columns differ; it names the file and the column.
        """
        if not self._kinds:
            self._kinds |= table.kinds
        for name, kind in self._kinds.items():
            found = table.kinds.get(name)
            if found is None:
                missing = f"there is no such column, and {first} has one{nearest(name, table.kinds)}"
                raise UserError(f"{table}, column {name}: {missing}")
            if NOTHING in (kind, found):
                self._kinds[name] = kind if found == NOTHING else found
            elif found != kind:
                raise UserError(f"{table}, column {name}: it has {found}, but {kind} in the files before")
        if more := next((name for name in table.kinds if name not in self._kinds), None):
            raise UserError(f"{table}, column {more}: {first} has no such column; all files need the same")
        return [name for name, kind in table.kinds.items() if kind == NOTHING]

    @property
    def described(self) -> str:
        return f"{self} ({len(self._parts):,} file{'s' * (len(self._parts) > 1)})"

    @cached_property
    def columns(self) -> list[str]:
        return list(self._kinds)

    @cached_property
    def numeric(self) -> list[str]:
        return [name for name, kind in self._kinds.items() if kind == NUMBERS and not ROW_NUMBERS.fullmatch(name)]

    @property
    def remark(self) -> str:
        return self._remark

    @property
    def length(self) -> int:
        return self._starts[-1]

    @cached_property
    def digest(self) -> bytes:
        whole = hashlib.sha256()
        for part in self._parts:
            with self._reopened(part) as table:
                whole.update(table.digest)
        return whole.digest()

    def place(self, row: int) -> Place:
        index = bisect_right(self._starts, row - 1) - 1
        return Place(str(self._parts[index].path), row - self._starts[index])

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        first_row = 1
        for frame in _of_size(self._frames(columns), CHUNK):
            yield Chunk(first_row, frame)
            first_row += len(frame)

    def _frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows of one file after the other."""
        for part in self._parts:
            if not part.length and self.length:
                continue
            with self._reopened(part) as table:
                for _, frame in table.chunks(columns):
                    gaps = {name: np.nan for name in part.empty if name in frame and self._kinds[name] == NUMBERS}
                    yield frame.assign(**gaps) if gaps else frame

    @contextmanager
    def _reopened(self, part: _Part) -> Iterator[FORMAT]:
        """Open a file again.

        Raises:
            UserError: It has changed since it was checked.
        """
        with _opened(part.path) as table:
            if _state(table) != part.state:
                raise UserError(f"{part.path} has changed while it was read")
            yield table


@contextmanager
def _opened(path: Path) -> Iterator[FORMAT]:
    check_file(path)
    table = FORMAT(path)
    try:
        yield table
    finally:
        table.close()


def _state(table: FORMAT) -> tuple[int, ...]:
    """A value that changes if a file is replaced or written to."""
    found = os.fstat(table.file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _of_size(frames: Iterator[pd.DataFrame], size: int) -> Iterator[pd.DataFrame]:
    """The same rows in chunks of equal size, so that results do not depend on where files end."""
    waiting, held, is_any = [], 0, False
    for frame in frames:
        waiting.append(frame)
        held += len(frame)
        while held >= size:
            whole, is_any = _together(waiting), True
            yield whole.iloc[:size]
            waiting, held = [whole.iloc[size:]], held - size
    if held or not is_any:
        yield _together(waiting)


def _together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _nothing_in(path: Path) -> str:
    """The message if there is no file."""
    if not path.is_dir():
        return f"{path}: no file matches this pattern"
    return f"{path}: there is no {ENDING} file in this folder; to include subfolders, write '{path}/**/*{ENDING}'"
