"""Open a file of any format, many Parquet files, or a data frame as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from invlearn.errors import UserError
from invlearn.files.many import is_many, open_many
from invlearn.files.table import CHUNK, Chunk, FileTable, Table, check_file, check_width
from invlearn.system.lazy import pd

__all__ = ["format_of", "formats", "open_table"]


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

    @property
    def length(self) -> int:
        return len(self.frame)

    @cached_property
    def numeric(self) -> list[str]:
        return [name for name in self.columns if self.frame[name].dtype.kind in "iuf"]

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        for start in range(0, max(len(self.frame), 1), CHUNK):  # an empty frame has one chunk too
            yield Chunk(start + 1, self.frame[list(columns)].iloc[start : start + CHUNK])


def open_table(source: str | Path | pd.DataFrame) -> Table:
    """Open a file of named columns, whose ending tells the format, or a data frame.

    The Parquet files of a folder, or of a pattern such as ``part-*.parquet``, are one table.

    Raises:
        UserError: There is no such file, its format is unknown, it is empty, damaged, or holds Python objects; or the
            files of a folder do not have the same columns.
    """
    if isinstance(source, pd.DataFrame):
        table: Table = _Frame(source)
    elif not isinstance(source, str | Path):
        raise UserError(f"expected a file or a data frame, got {type(source).__name__}")
    elif is_many(path := Path(source)):
        table = open_many(path)
    else:
        check_file(path)
        table = format_of(path, formats(), "read")(path)
    if not table.columns:
        raise UserError(f"{table} has no columns")
    check_width(table, len(table.columns))
    return table


@cache
def formats() -> list[type[FileTable]]:
    """The supported formats."""
    from invlearn.files import formats as package

    return [import_module(f"{package.__name__}.{found.name}").FORMAT for found in iter_modules(package.__path__)]


def format_of(path: Path, among: Sequence[type[FileTable]], done: str) -> type[FileTable]:
    """The format of a file, by the ending of its name.

    Args:
        path: The file.
        among: The supported formats.
        done: ``read`` or ``written``, for the message.

    Raises:
        UserError: The format is not supported.
    """
    for form in among:
        if path.name.lower().endswith(form.endings):
            return form
    known = ", ".join(ending for form in among for ending in form.endings)
    raise UserError(f"{path}: files of this type cannot be {done}; choose from: {known}")
