"""Leave rows of a file out of training; a second file lists them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from invlearn.data import EntitySamples
from invlearn.errors import UserError
from invlearn.files.opening import open_table
from invlearn.files.sample_file import Origin
from invlearn.system.lazy import pd

__all__ = ["listed_rows", "without_rows"]

KEY = "dataset.leave_out"


class Listed(NamedTuple):
    """Rows that a file lists."""

    rows: np.ndarray
    """Their numbers, ascending, ``(n,)``."""

    @property
    def fingerprint(self) -> str:
        """Hash of the rows in sixteen hexadecimal digits, independent of their order and of other columns."""
        return hashlib.sha256(self.rows.astype("<i8").tobytes()).hexdigest()[:16]


class Kept(NamedTuple):
    """The remaining data."""

    dataset: EntitySamples
    """The same samples; those left out belong to an entity in no split."""
    report: Sequence[str]
    """Lines about what was left out."""


def listed_rows(path: str, of: int) -> Listed:
    """The rows that the column ``row`` of a file lists.

    Args:
        path: The file.
        of: Number of rows of the data file.

    Raises:
        UserError: It cannot be read, has no such column, or a value that is not a row.
    """
    try:
        table = open_table(Path(path))
        if "row" not in table.columns:
            raise UserError(f"{table}: there is no column row")
        found = [_numbers(chunk.frame["row"]) for chunk in table.chunks(["row"])]
    except UserError as error:
        raise UserError(f"{KEY}: {error}") from error
    numbers = np.concatenate(found) if found else np.zeros(0)
    wrong = ~((numbers >= 1) & (numbers <= of) & (numbers == np.floor(numbers)))
    if wrong.any():
        first = int(wrong.argmax())
        value = "no number" if np.isnan(numbers[first]) else f"{numbers[first]:g}"
        raise UserError(f"{KEY}: {path}, row {first + 1}: row is {value}; rows are whole numbers from 1 to {of:,}")
    return Listed(np.unique(numbers).astype(np.int64))


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)


def without_rows(dataset: EntitySamples, origin: Origin, listed: np.ndarray) -> Kept:
    """The same data with fewer training samples.

    Entities with fewer than two remaining samples are left out too. The other splits do not change, unless each split
    has all entities.

    Raises:
        UserError: Fewer than two entities are left.
    """
    entity, entities = origin.entity, dataset.splits["train"]
    is_listed = torch.from_numpy(np.isin(origin.rows, listed))
    in_split = torch.isin(entity, entities)
    out = is_listed & in_split
    counts = entity[~out].bincount(minlength=len(origin.labels))[entities]
    kept, few = entities[counts > 1], entities[counts < 2]
    if len(kept) < 2:
        raise UserError(
            f"with {KEY}, only {len(kept)} training entities have two samples left; at least two are needed"
        )
    nowhere = torch.where(out | torch.isin(entity, few), len(origin.labels), entity)
    lines = [f"left out of training: {int(out.sum()):,} rows ({KEY})"]
    if len(few):
        lines.append(f"left out of training: {len(few):,} entities with fewer than two remaining rows")
    if held_out := int((is_listed & ~in_split).sum()):
        lines.append(f"note: {held_out:,} rows of {KEY} are of validation and test entities, and are kept")
    splits = {name: part[~torch.isin(part, few)] for name, part in dataset.splits.items()}
    return Kept(replace(dataset, entity=nowhere, splits=splits), lines)
