"""Choose rows of a table that is too large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch

from invlearn.data.seeding import seeded_generator
from invlearn.errors import UserError
from invlearn.files.columns import Checked, Choice, checked_chunks
from invlearn.files.rows import Dropping, Rows
from invlearn.files.table import Chunk, Table
from invlearn.system.lazy import pd
from invlearn.system.memory import machine_memory
from invlearn.system.processes import on_this_machine

__all__ = ["MostRows", "Taken", "entities_of", "read_rows", "rows_that_fit", "some_entities", "some_rows"]

MostRows = int | Literal["auto"] | None
"""How many rows to read: at most so many, as many as fit into memory, or all."""

SHARE = 0.5
"""Share of the memory that rows may take; the other half is for other programs."""

BYTES_A_NUMBER = 12
"""Memory of training per number of a sample: three times that of single precision."""

BYTES_A_ROW = 400
"""Further memory per row: its entity, its numbers, its hash."""

ENTITIES = 6
"""Least number of entities to take, two for each split."""


class Taken(NamedTuple):
    """Rows that were chosen before they are read."""

    chosen: Choice
    of: int
    """Number of rows of the table."""
    report: list[str]
    """Lines about how many were taken."""


class Read(NamedTuple):
    """Rows that were read."""

    rows: Rows
    of: int
    """Number of rows of the table."""
    most: int | None
    """The resolved value of ``auto``."""
    report: list[str]
    """Lines about how many were taken; empty if all were."""


class _MoreRowsError(Exception):
    """The table has more rows than the limit."""


def read_rows(
    table: Table,
    features: Sequence[str],
    others: Sequence[str],
    drop: Dropping,
    *,
    samples: int = 1,
    most: MostRows = None,
    take: Callable[[int], Taken] | None = None,
) -> Read:
    """Read a table, or a random part of it if it is larger than the limit.

    If the format tells the number of rows, a table that is too large is read once to choose rows and once to read
    them; otherwise it is first read up to the limit.

    Args:
        table: The file.
        features: Columns that must hold finite numbers.
        others: Other columns to read.
        drop: Kinds of rows to leave out, and whether a feature may be missing.
        samples: Number of samples per row.
        most: Maximal number of rows to read.
        take: Chooses at most so many rows; not called if all are read.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    hint = drop.hint("missing")
    chunks = partial(checked_chunks, table, features, others, missing=drop.missing, hint=hint, samples=samples)
    limit = rows_that_fit(len(features)) if most == "auto" else math.inf if most is None else most
    if take is None or table.length is None or table.length <= limit:
        try:
            rows = Rows.gather(_at_most(chunks(), limit), str(table), samples=samples)
        except _MoreRowsError:
            pass
        else:
            return Read(rows, len(rows.numbers) + rows.missing, None if most == "auto" else most, [])
    assert take is not None
    taken = take(most := int(limit))
    rows = Rows.gather(chunks(chosen=taken.chosen), str(table), samples=samples)
    return Read(rows, taken.of, most, taken.report)


def _at_most(chunks: Iterable[Checked], limit: float) -> Iterator[Checked]:
    read = 0
    for chunk in chunks:
        read += len(chunk.rows) + chunk.dropped
        if read > limit:
            raise _MoreRowsError
        yield chunk


def rows_that_fit(numbers: int) -> float:
    """Number of rows of so many numbers that fit into half of the memory in training; infinite if that is unknown.

    Processes on one machine share its memory. The number is rounded to two digits, so that similar machines agree.
    """
    fitting = SHARE * machine_memory() / on_this_machine() / (BYTES_A_NUMBER * numbers + BYTES_A_ROW)
    if math.isinf(fitting):
        return fitting
    unit = 10 ** max(0, math.floor(math.log10(max(1.0, fitting))) - 1)
    return max(2 * ENTITIES, math.floor(fitting / unit) * unit)


def some_entities(table: Table, entity: str, seed: int, most: int) -> Taken:
    """Choose whole entities at random, with at most so many rows in all; only the column of entities is read.

    Entities with one row are not among them.

    Args:
        table: The file.
        entity: The column of entities.
        seed: Seed of the choice.
        most: Maximal number of rows.

    Raises:
        UserError: A row has no entity, or too few entities fit.
    """
    numbers: dict[object, int] = {}
    counts = np.zeros(0, dtype=np.int64)
    for chunk in table.chunks([entity], text=[entity]):
        column = chunk.frame[entity]
        codes, names = entities_of(table, column, chunk.first_row + np.arange(len(column)))
        found = [numbers.setdefault(name, len(numbers)) for name in names]
        counts = np.concatenate([counts, np.zeros(len(numbers) - len(counts), dtype=np.int64)])
        counts[found] += np.bincount(codes, minlength=len(names))
    order = torch.randperm(len(counts), generator=seeded_generator(seed, "rows")).numpy()
    order = order[(counts[order] > 1) & (counts[order] <= most)]
    order = order[_fitting(counts[order], most)]
    if len(order) < ENTITIES:
        only = f"dataset.most_rows={most} takes only {len(order)} of {len(counts):,} entities"
        raise UserError(f"{table}: {only} of column {entity}; six are needed, two for each split: raise it")
    is_taken = np.zeros(len(counts) + 1, dtype=bool)
    is_taken[order] = True

    def chosen(chunk: Chunk) -> np.ndarray:
        codes, names = pd.factorize(chunk.frame[entity])
        return np.flatnonzero(is_taken[[numbers.get(name, -1) for name in names] + [-1]][codes])

    rows, singles = int(counts[order].sum()), int((counts == 1).sum())
    report = [
        f"taken at random: {rows:,} of {int(counts.sum()):,} rows, {len(order):,} of {len(counts):,} entities "
        f"(dataset.most_rows={most})"
    ]
    if singles:
        report.append(f"left out: {singles:,} entities with one row, which forms no pairs")
    return Taken(chosen, int(counts.sum()), report)


def _fitting(sizes: np.ndarray, most: int) -> np.ndarray:
    """Which of these sizes are taken, in order; sizes that no longer fit are skipped, ``(n,)``."""
    taken, left, start = np.zeros(len(sizes), dtype=bool), most, 0
    while True:
        rest = start + np.flatnonzero(sizes[start:] <= left)
        fitting = rest[sizes[rest].cumsum() <= left]
        if not len(fitting):
            return taken
        taken[fitting] = True
        left, start = left - int(sizes[fitting].sum()), int(fitting[-1]) + 1


def entities_of(table: Table, column: pd.Series, rows: np.ndarray) -> tuple[np.ndarray, pd.Index]:
    """The entities that a column names.

    Args:
        table: The file, for messages.
        column: Name of the entity of each row.
        rows: Number of each row, ``(n,)``.

    Returns:
        The number of each row's entity, from 0 in order of appearance, ``(n,)``, and the entities' names.

    Raises:
        UserError: A row has no entity, or names are not of a type that can be compared.
    """
    try:
        codes, names = pd.factorize(column)
    except TypeError as error:
        raise UserError(f"{table}, column {column.name}: lists name no entity; write text or numbers") from error
    if (missing := (column.isna() | (column == "")).to_numpy()).any():
        raise UserError(f"{table.place(int(rows[missing.argmax()]))}, column {column.name}: no value")
    return codes, names


def some_rows(table: Table, column: str, seed: int, most: int) -> Taken:
    """Choose rows at random.

    Args:
        table: The file.
        column: A column to count the rows by, if the format does not tell their number.
        seed: Seed of the choice.
        most: Maximal number of rows.
    """
    of = table.length
    if of is None:
        of = sum(len(chunk.frame) for chunk in table.chunks([column], text=[column]))
    taken = torch.randperm(of, generator=seeded_generator(seed, "rows"))[:most].sort().values.numpy() + 1

    def chosen(chunk: Chunk) -> np.ndarray:
        start, end = np.searchsorted(taken, [chunk.first_row, chunk.first_row + len(chunk.frame)])
        return taken[start:end] - chunk.first_row

    return Taken(chosen, of, [f"taken at random: {len(taken):,} of {of:,} rows (dataset.most_rows={most})"])
