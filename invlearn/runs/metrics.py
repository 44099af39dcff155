"""metrics.csv: one row per replica and epoch; without pandas, which takes half a second to import."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["metrics_text", "parse_metrics"]


def metrics_text(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The contents of the file.

    Args:
        rows: Rows with the same columns; NaN becomes an empty cell.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0] if rows else ())
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return buffer.getvalue().encode()


def parse_metrics(text: bytes) -> dict[str, np.ndarray]:
    """The columns of the file, as integers if all values are; empty cells are NaN.

    Raises:
        ValueError: It is not a table of numbers, or ``replica``, ``seed`` or ``epoch`` is missing.
    """
    names, *rows = csv.reader(io.StringIO(text.decode(), newline=""), strict=True)
    if not {"replica", "seed", "epoch"} <= set(names):
        raise ValueError("no such columns")
    return {name: _numbers(cells) for name, *cells in zip(names, *rows, strict=True)}


def _cell(value: float | None) -> float | str:
    return "" if value is None or math.isnan(value) else value


def _numbers(cells: Sequence[str]) -> np.ndarray:
    try:
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    except ValueError:
        return np.array([float(cell or "nan") for cell in cells])
