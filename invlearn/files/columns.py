"""Features of a table: their columns, and their checked values."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from invlearn.errors import UserError
from invlearn.files.table import Chunk, Table
from invlearn.system.lazy import pd

__all__ = ["Checked", "Choice", "Missing", "checked_chunks", "choose_columns", "numbers"]


Choice = Callable[[Chunk], np.ndarray]
"""Indices of the rows of a chunk to read, ascending."""


Missing = Literal["refuse", "drop", "keep"]
"""What to do with rows in which a feature is missing; every sample of a kept row has at least one value."""


class Checked(NamedTuple):
    """Some rows of a table whose features are finite numbers, or missing."""

    rows: np.ndarray
    """Their numbers in the table, from 1, ``(n,)``."""
    features: np.ndarray
    """``(n, d)``, float64; NaN where a value is missing."""
    others: pd.DataFrame
    """The other columns asked for, of the same rows."""
    dropped: int
    """Rows left out because a value was missing."""


def choose_columns(table: Table, choice: str | Sequence[str], key: str, *, without: Sequence[str] = ()) -> list[str]:
    """Columns by a list of names, by a common prefix, or, for ``auto``, all columns of numbers.

    Args:
        table: The file.
        choice: The names, the prefix, or ``auto``.
        key: The setting that chooses, for error messages.
        without: Columns that are not features.

    Raises:
        UserError: There are none, or one is missing, named twice or not a feature.
    """
    if not isinstance(choice, str):
        chosen = list(choice)
        table.require(chosen, key)
        counts = Counter(chosen)
        for name in chosen:
            if counts[name] > 1 or name in without:
                raise UserError(f"{table}: column {name} is named twice ({key})")
    elif choice == "auto":
        chosen = [name for name in table.numeric if name not in without]
    else:
        chosen = [name for name in table.columns if name.startswith(choice) and name not in without]
    if not chosen:
        wanted = "of numbers" if choice == "auto" else f"whose name starts with {choice}"
        raise UserError(f"{table}: there is no column {wanted} ({key}){table.remark}")
    return chosen


def checked_chunks(
    table: Table,
    features: Sequence[str],
    others: Sequence[str] = (),
    *,
    missing: Missing = "refuse",
    hint: str = "",
    samples: int = 1,
    chosen: Choice | None = None,
) -> Iterator[Checked]:
    """The rows of a table, in chunks, with their features as numbers.

    Args:
        table: The file.
        features: Columns that must hold finite numbers.
        others: Other columns to read, unchanged.
        missing: What to do with rows in which a feature is missing.
        hint: What a user can do about rows that are refused.
        samples: Number of samples in a row, which share its features equally.
        chosen: Rows to read, by default all; the others are not checked either.

    Raises:
        UserError: A feature is missing, text or infinite, or a sample has no value at all; it names file, row and
            column.
    """
    for chunk in table.chunks([*features, *others], text=others):
        frame, rows = chunk.frame, np.arange(chunk.first_row, chunk.first_row + len(chunk.frame))
        if chosen is not None:
            indices = chosen(chunk)
            frame, rows = frame.iloc[indices], rows[indices]
        values = np.empty((len(frame), len(features)))
        for index, name in enumerate(features):
            values[:, index] = numbers(table, frame[name], rows)
        gaps = np.isnan(values)
        if missing == "refuse" and gaps.any():
            row, column = np.argwhere(gaps)[0]
            raise UserError(f"{table.place(int(rows[row]))}, column {features[column]}: no value{hint}")
        if missing == "keep":
            empty = np.any(gaps.reshape(len(gaps), samples, len(features) // samples).all(axis=2), axis=1)
            if empty.any():
                raise UserError(f"{table.place(int(rows[empty.argmax()]))}: no feature has a value{hint}")
        kept = ~gaps.any(axis=1) if missing == "drop" else np.full(len(gaps), True)
        dropped = int((~kept).sum())
        others_of = frame.filter(list(others))
        if dropped:
            rows, values, others_of = rows[kept], values[kept], others_of.iloc[np.flatnonzero(kept)]
        yield Checked(rows, values, others_of, dropped)


def numbers(table: Table, values: pd.Series, rows: np.ndarray) -> np.ndarray:
    """A column as float64, ``(n,)``, NaN where it is missing.

    Args:
        table: The file.
        values: Some values of the column.
        rows: Their rows in the table, ``(n,)``.

    Raises:
        UserError: A value is text or infinite, or too large for single precision; it names file, row and column.
    """
    if values.dtype.kind in "cmM":
        raise UserError(f"{table}, column {values.name}: {values.dtype} is not a real number")
    if values.dtype.kind in "iuf":
        parsed = values.to_numpy(np.float64)
        wrong = np.zeros(len(parsed), dtype=bool)
    else:
        parsed = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        wrong = np.isnan(parsed) & values.notna().to_numpy()
    wrong |= np.abs(parsed) > np.finfo(np.float32).max
    if wrong.any():
        index = int(np.argmax(wrong))
        where = f"{table.place(int(rows[index]))}, column {values.name}"
        raise UserError(f"{where}: {_fault(str(values.iloc[index]), parsed[index])}")
    return parsed


def _fault(value: str, parsed: float) -> str:
    """Why a value is no number in single precision."""
    if not math.isnan(parsed):
        return f"{value} is not a finite number in single precision"
    hint = "; write decimals with a point" if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", value) else ""
    return f"{value if value.strip() else repr(value)} is text, not a number{hint}"
