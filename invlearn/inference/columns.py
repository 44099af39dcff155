"""Find the columns of a table that are a run's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from invlearn.errors import UserError
from invlearn.files import Table, choose_columns
from invlearn.files.pair_file import PairFile
from invlearn.runs.trained import TrainedRun

__all__ = ["Columns", "columns_beside", "columns_of", "columns_of_pairs", "numbered_labels"]

Choice = str | Sequence[str] | None
"""Names, or a prefix; None takes those of the run's own file, or all columns of numbers."""


class Columns(NamedTuple):
    """Columns of a table."""

    features: list[str]
    """Those that are features; for a row with several samples, one sample after the other."""
    others: list[str]
    """The others."""


def columns_of(
    run: TrainedRun, table: Table, choice: Choice = None, *, option: str = "--features", without: Sequence[str] = ()
) -> Columns:
    """Columns of a table that are features for a run, and those that are not.

    Args:
        run: The run.
        table: The table.
        choice: The choice of features.
        option: The option that chooses them, for messages.
        without: Columns that are not features.

    Raises:
        UserError: They are missing, or their number differs from the run's.
    """
    trained = run.stack.feature_names
    if choice is None:
        choice = trained or "auto"
        if trained:
            table.require(trained, f"a feature of this run; {option} names others")
    # A single name is a column if there is one, else a prefix.
    choice = [choice] if isinstance(choice, str) and choice in table.columns else choice
    chosen = choose_columns(table, choice, option, without=without)
    if isinstance(choice, str):  # a prefix does not determine the order
        spec = run.experiment.spec
        prime = spec.feature_names_prime if isinstance(spec, PairFile) else []
        for names in (trained or [], prime):
            if set(names) == set(chosen):
                chosen = list(names)
    if len(chosen) != run.stack.dim:
        raise UserError(f"{table}: {len(chosen)} features, but the run has {run.stack.dim}; choose them with {option}")
    features = {*chosen}
    return Columns(chosen, [name for name in table.columns if name not in features])


def columns_beside(run: TrainedRun, table: Table, entity: str | None, choice: Choice, *, command: str) -> Columns:
    """Like ``columns_of``, but the table may have a column of labels.

    Args:
        run: The run.
        table: The table.
        entity: The column of labels, if there is one.
        choice: The choice of features.
        command: The command that uses the labels, for messages.

    Raises:
        UserError: Columns are missing, the labels are a feature, or the number of features differs from the run's.
    """
    if entity is None:
        return columns_of(run, table, choice)
    table.require([entity], "--entity")
    if entity in (run.stack.feature_names or ()):
        raise UserError(f"{command}: --entity {entity} names a feature of this run")
    return columns_of(run, table, choice, without=[entity])


def columns_of_pairs(run: TrainedRun, table: Table, x: str | Sequence[str], x_prime: str | Sequence[str]) -> Columns:
    """Columns of a table of pairs: the features of x, then those of x', and the others.

    Args:
        run: The run.
        table: The table.
        x: Names, or a prefix.
        x_prime: Likewise; its prefix may begin with that of ``x``.

    Raises:
        UserError: They are missing, or their number differs from the run's.
    """
    if x == x_prime:
        raise UserError(f"--pairs: {x} names both samples")
    second = columns_of(run, table, x_prime, option="--pairs").features
    first = columns_of(run, table, x, option="--pairs", without=second).features
    features = {*first, *second}
    return Columns([*first, *second], [name for name in table.columns if name not in features])


def numbered_labels(column: pd.Series) -> np.ndarray:
    """The label of each row as a number from 0; -1 for rows without a label, ``(n,)``."""
    return pd.factorize(column.where(column.astype(str) != ""))[0]
