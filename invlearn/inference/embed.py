"""Codes of the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from invlearn.errors import UserError
from invlearn.files import open_table
from invlearn.inference.columns import Choice, columns_of
from invlearn.inference.encoding import coded_chunks
from invlearn.runs.trained import TrainedRun

__all__ = ["embed", "embed_chunks"]

Source = str | Path | pd.DataFrame
"""A file, or a data frame."""


def embed(
    run: TrainedRun,
    table: Source,
    *,
    features: Choice = None,
    variant: bool = False,
    drop_missing: bool = False,
    replica: int | None = None,
) -> pd.DataFrame:
    """Encode the rows of a file or a data frame.

    Args:
        run: A trained run.
        table: The rows.
        features: Names of the features, or their prefix; by default as in training.
        variant: Whether to return the variant part of the code too.
        drop_missing: Leave out rows with a missing value instead of filling it.
        replica: Replica that encodes; by default the one with the lowest validation loss.

    Returns:
        A row per sample, with the columns that are not features, then the codes ``z_0``, ... (and ``v_0``, ...).

    Raises:
        UserError: The table cannot be used; the message names file, row and column.

    Example:
        ``codes = embed(invlearn.load_run("outputs/mine"), "new.csv")``
    """
    options = {"variant": variant, "drop_missing": drop_missing, "replica": replica}
    return pd.concat(embed_chunks(run, table, features=features, **options), ignore_index=True)


def embed_chunks(
    run: TrainedRun,
    table: Source,
    *,
    features: Choice = None,
    variant: bool = False,
    drop_missing: bool = False,
    replica: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Like ``embed``, but yields a data frame for each chunk, so that memory use stays constant."""
    opened = open_table(table)
    columns = columns_of(run, opened, features)
    names = [f"z_{index}" for index in range(run.stack.invariant)]
    if variant:
        names += [f"v_{index}" for index in range(run.stack.code - run.stack.invariant)]
    if taken := next((name for name in names if name in columns.others), None):
        raise UserError(f"{opened}: a column is named {taken}, as a code would be")
    for chunk in coded_chunks(run, opened, columns, drop_missing=drop_missing, replica=replica):
        parts = [*chunk.invariant.T, *(chunk.variant.T if variant else ())]
        codes = pd.DataFrame(dict(zip(names, parts, strict=True)))
        yield pd.concat([chunk.others.reset_index(drop=True), codes], axis=1)
