"""Parquet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.errors import UserError
from invlearn.files.table import CHUNK, Chunk, FileTable, readable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["FORMAT", "NOTHING", "NUMBERS", "ROW_NUMBERS"]

NUMBERS, TEXT, LISTS, NOTHING = "numbers", "text", "lists", "nothing"
"""Kinds of columns; a column without any value holds nothing."""

KINDS = {
    NUMBERS: ("integer", "floating", "decimal"),
    TEXT: ("string", "large_string", "string_view"),
    LISTS: ("list", "large_list", "fixed_size_list"),
    NOTHING: ("null",),
}
"""Arrow types of each kind; other types have their own names as kinds."""

ROW_NUMBERS = re.compile(r"__index_level_\d+__")
"""Names of the row numbers that pandas adds."""


class _Parquet(FileTable):
    endings = (".parquet",)
    writes = True

    def open(self) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise UserError(f"{self}: Parquet needs pyarrow: pip install 'invlearn[data]'") from error
        self.rows = parquet.ParquetFile(self.file, pre_buffer=False)  # pre-buffering keeps the file in memory

    @cached_property
    def columns(self) -> list[str]:
        return list(self.rows.schema_arrow.names)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each column; files with the same columns and kinds can be read as one table."""
        return {field.name: _kind(field.type) for field in self.rows.schema_arrow}

    @cached_property
    def numeric(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == NUMBERS and not ROW_NUMBERS.fullmatch(name)]

    @property
    def length(self) -> int:
        return self.rows.metadata.num_rows

    @property
    def remark(self) -> str:
        lists = [name for name, kind in self.kinds.items() if kind == LISTS]
        return f"; {lists[0]} has lists: write each of their numbers to a column" if lists else ""

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        from pyarrow import default_memory_pool

        first_row = 1
        with readable(self.path):
            for batch in self.rows.iter_batches(CHUNK, columns=list(columns)):
                frame = batch.select(list(columns)).to_pandas(ignore_metadata=True)
                yield Chunk(first_row, frame)
                first_row += len(frame)
            if not self.rows.metadata.num_rows:
                empty = self.rows.schema_arrow.empty_table().select(list(columns))
                yield Chunk(first_row, empty.to_pandas(ignore_metadata=True))
        default_memory_pool().release_unused()  # otherwise it keeps hundreds of MB of what was read

    @classmethod
    @contextmanager
    def write(cls, path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
        """Write a file; yields a function that appends rows."""
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise UserError("Parquet needs pyarrow: pip install 'invlearn[data]'") from error
        writer: parquet.ParquetWriter | None = None

        def append(frame: pd.DataFrame) -> None:
            nonlocal writer
            table = pa.Table.from_pandas(frame, preserve_index=False, schema=writer.schema if writer else None)
            if writer is None:
                # Floating-point numbers hardly repeat, so a dictionary takes time without saving space.
                repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
                writer = parquet.ParquetWriter(path, table.schema, use_dictionary=repeating)  # pyright: ignore[reportArgumentType]
            writer.write_table(table)

        try:
            yield append
        finally:
            if writer is not None:
                writer.close()


def _kind(of: pa.DataType) -> str:
    from pyarrow import types

    if types.is_dictionary(of):  # dictionary types store each value once, and indices
        return _kind(of.value_type)

    def is_any(names: Sequence[str]) -> bool:
        return any(getattr(types, f"is_{name}")(of) for name in names if hasattr(types, f"is_{name}"))

    return next((kind for kind, names in KINDS.items() if is_any(names)), str(of))


FORMAT = _Parquet
