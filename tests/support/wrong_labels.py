"""Files of entities with some wrong labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.support.own_data import entity_table

__all__ = ["mislabelled"]


def mislabelled(table: pd.DataFrame | None = None, *, every: int = 12) -> tuple[pd.DataFrame, set[int]]:
    """A table in which every n-th row has the label of another row, and the numbers of these rows, from 1."""
    table = entity_table(60, 5, 6) if table is None else table
    wrong = np.arange(0, len(table), every)
    labels = table["id"].to_numpy(copy=True)
    labels[wrong] = np.roll(labels[wrong], 1)
    changed = np.flatnonzero(labels != table["id"].to_numpy())
    return table.assign(id=labels), {int(index) + 1 for index in changed}
