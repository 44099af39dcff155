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

__all__ = ["FORMAT"]


class _Parquet(FileTable):
    endings = (".parquet",)
    writes = True

    def open(self) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise UserError(f"{self}: Parquet needs pyarrow: pip install 'invlearn[data]'") from error
        self.rows = parquet.ParquetFile(self.file, pre_buffer=False)  # which would keep all of the file in memory

    @cached_property
    def columns(self) -> list[str]:
        return list(self.rows.schema_arrow.names)

    @cached_property
    def numeric(self) -> list[str]:
        numbers = self._of_type("integer", "floating", "decimal")
        return [name for name in numbers if not re.fullmatch(r"__index_level_\d+__", name)]

    def _of_type(self, *kinds: str) -> list[str]:
        from pyarrow import types

        tests = [getattr(types, f"is_{kind}") for kind in kinds]
        return [field.name for field in self.rows.schema_arrow if any(is_kind(field.type) for is_kind in tests)]

    @property
    def remark(self) -> str:
        lists = self._of_type("list", "large_list", "fixed_size_list")
        return f"; {lists[0]} holds lists: write a column for each of their numbers" if lists else ""

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        first_row = 1
        with readable(self.path):
            for batch in self.rows.iter_batches(CHUNK, columns=list(columns)):
                frame = batch.select(list(columns)).to_pandas(ignore_metadata=True)
                yield Chunk(first_row, frame)
                first_row += len(frame)
            if not self.rows.metadata.num_rows:
                empty = self.rows.schema_arrow.empty_table().select(list(columns))
                yield Chunk(first_row, empty.to_pandas(ignore_metadata=True))

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
                # Floating-point numbers hardly repeat: a dictionary of them takes time and no less space.
                repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
                writer = parquet.ParquetWriter(path, table.schema, use_dictionary=repeating)  # pyright: ignore[reportArgumentType]
            writer.write_table(table)

        try:
            yield append
        finally:
            if writer is not None:
                writer.close()


FORMAT = _Parquet
