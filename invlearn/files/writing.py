"""Tables written piece by piece: the file is there when all of it is, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from invlearn.errors import UserError

__all__ = ["table_writer"]

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


@contextmanager
def table_writer(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Open a table for writing; what the end of its name says is its format.

    Args:
        path: The file; one that is there is replaced once the new one is whole.

    Yields:
        A function that appends rows; they all have the same columns.

    Raises:
        UserError: The format is unknown, or the file cannot be written.
    """
    if not path.name.endswith(ENDINGS):
        raise UserError(f"{path}: files of this kind cannot be written; choose from: {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no such folder")
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write = _parquet if path.suffix == ".parquet" else _text
        with write(temporary) as append:
            yield append
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _text(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    separator = "\t" if ".tsv" in path.suffixes else ","
    first = True

    def append(frame: pd.DataFrame) -> None:
        nonlocal first
        frame.to_csv(path, sep=separator, index=False, header=first, mode="w" if first else "a")
        first = False

    yield append


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
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
