"""Write tables atomically."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from invlearn.errors import UserError
from invlearn.files.opening import format_of, formats
from invlearn.files.table import FileTable
from invlearn.system.lazy import pd
from invlearn.system.storage import followed, replacing

__all__ = ["escaped", "table_writer", "written_as"]


def written_as(path: Path) -> type[FileTable]:
    """The format of a table that is to be written, which the end of its name tells.

    Raises:
        UserError: It is unknown.
    """
    return format_of(path, [form for form in formats() if form.writes], "written")


@contextmanager
def table_writer(path: Path, *, escape_formulas: bool = False) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Open a table for writing, atomically; its ending tells the format.

    Args:
        path: The file, or a link to it; an existing one is replaced once the new one is complete.
        escape_formulas: Whether cells that a spreadsheet would take for formulas get a ``'`` before them.

    Yields:
        A function that appends rows; they all have the same columns.

    Raises:
        UserError: The format is unknown, or the file cannot be written.
    """
    path = followed(path)
    form = written_as(path)
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no such folder")
    with replacing(path) as temporary, form.write(temporary) as append:
        yield (lambda frame: append(escaped(frame))) if escape_formulas else append


def escaped(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with ``'`` before cells and column names that a spreadsheet would take for formulas.

    Spreadsheets skip leading white space, and some accept full-width signs. This does not cover cells that a
    spreadsheet splits further, for example at semicolons.

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
        if isinstance(column.dtype, pd.CategoricalDtype):  # a categorical takes no new values
            column = column.astype(object)
        formulas = column.map(is_formula).astype(bool) & pd.to_numeric(column, errors="coerce").isna()
        return column.where(~formulas, "'" + column.astype(str))

    named = {name: f"'{name}" for name in map(str, frame.columns) if is_formula(name)}
    return frame.apply(cells).rename(columns=named)
