"""Columns that are unlikely to be features: text, constants, row numbers, times."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from invlearn.files.table import Table
from invlearn.system.lazy import pd

__all__ = ["TEXT", "unsuitable_columns"]

TEXT = "text, or an index"
CONSTANT = "the same value everywhere"
NOTHING = "no value"
NUMBER = "a different whole number in each row"
TIME = "sorted times"

FEWEST = 20
"""Least number of rows to distinguish row numbers and times from features that happen to rise."""

TIMES = re.compile(r"time|date|stamp", re.IGNORECASE)
"""Names of columns of times."""


def unsuitable_columns(table: Table, names: Sequence[str]) -> dict[str, str]:
    """Columns that are unlikely to be features, and why; reading stops once no column is suspicious.

    - a column without any value, or a constant;
    - row numbers: whole numbers that rise from each row to the next, or are consecutive in any order;
    - a time: a column with such a name that never decreases.

    Missing values are ignored.

    Args:
        table: The file.
        names: Columns of numbers.
    """
    columns = {name: _Column(name) for name in names}
    length = 0
    for chunk in table.chunks(list(columns)):
        length += len(chunk.frame)
        for name in list(columns):
            # Text among the numbers is refused later, with its row.
            values = pd.to_numeric(chunk.frame[name], errors="coerce")
            columns[name].look_at(values.to_numpy(np.float64, na_value=np.nan))
            if not columns[name].is_unusual:
                del columns[name]
        if not columns:
            break
    return {name: reason for name, column in columns.items() if (reason := column.reason(length))}


class _Column:
    """The state of a column so far."""

    def __init__(self, name: str):
        self.is_constant = self.rises = self.is_unique = True
        self.never_falls = bool(TIMES.search(name))
        self.first = self.last = np.nan
        self.count = 0
        self.seen: list[np.ndarray] = []

    @property
    def is_unusual(self) -> bool:
        """Whether any reason is still possible."""
        return self.is_constant or self.rises or self.is_unique or self.never_falls

    def look_at(self, values: np.ndarray) -> None:
        """Process more rows."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        self.count += len(values)
        if np.isnan(self.first):
            self.first = values[0]
        is_whole = bool((values == np.floor(values)).all())
        steps = np.diff(values, prepend=self.last)
        steps = steps[1:] if np.isnan(self.last) else steps
        self.last = values[-1]
        self.is_constant &= bool((values == self.first).all())
        self.rises &= is_whole and bool((steps > 0).all())
        self.never_falls &= bool((steps >= 0).all())
        self.is_unique &= is_whole and len(np.unique(values)) == len(values)
        if self.is_unique and not self.rises:
            self.seen.append(values)

    def reason(self, length: int) -> str | None:
        """Why it is not a feature in a table of so many rows; None if it may be one."""
        if self.is_constant and length > 1:
            return CONSTANT if self.count else NOTHING
        if self.count < FEWEST:
            return None
        if self.rises:
            return NUMBER
        if self.is_unique and sum(map(len, self.seen)) == length:
            every = np.concatenate(self.seen)
            if every.max() - every.min() == length - 1 and len(np.unique(every)) == length:
                return NUMBER
        return TIME if self.never_falls else None
