"""One-to-one assignment of rows: each has at most one partner."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["assign"]

LARGEST = 4_000_000
"""Largest matrix of a group of rows, in entries, that is assigned optimally; larger groups are greedy."""


def assign(distances: np.ndarray, indices: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Assign queries to a gallery, one to one.

    Chooses the pairs closer than the limit that maximise the sum of limit² - distance²: differences of Gaussian
    codes have log odds of that form. Queries without a common candidate are assigned independently.
    A group that is too large takes its closest pair repeatedly.

    Args:
        distances: Of each query to its nearest candidates, ``(n, k)``, ascending.
        indices: Their indices in the gallery, ``(n, k)``; -1 where there is none.
        limit: Only pairs closer than this are assigned.

    Returns:
        The candidate of each query, ``(n,)``, and whether it is assigned; an unassigned query has its nearest one.
    """
    chosen, assigned = np.zeros(len(indices), dtype=int), np.zeros(len(indices), dtype=bool)
    query, rank = np.nonzero((distances < limit) & (indices >= 0))
    if not len(query):
        return chosen, assigned
    rows, row = np.unique(query, return_inverse=True)
    columns, column = np.unique(indices[query, rank], return_inverse=True)
    gain = limit**2 - np.square(distances[query, rank].astype(float))
    size = len(rows) + len(columns)
    graph = coo_array((np.ones(len(row)), (row, column + len(rows))), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[row], kind="stable")
    for edges in np.split(order, np.flatnonzero(np.diff(group[row][order])) + 1):
        kept = edges if len(edges) == 1 else edges[_best(row[edges], column[edges], gain[edges])]
        chosen[rows[row[kept]]], assigned[rows[row[kept]]] = rank[kept], True
    return chosen, assigned


def _best(row: np.ndarray, column: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Indices of the chosen edges of a group."""
    rows, row = np.unique(row, return_inverse=True)
    columns, column = np.unique(column, return_inverse=True)
    if len(rows) * len(columns) > LARGEST:
        return _greedy(row, column, gain)
    gains = np.zeros((len(rows), len(columns)))
    edge = np.full(gains.shape, -1)
    gains[row, column], edge[row, column] = gain, np.arange(len(row))
    found = edge[linear_sum_assignment(gains, maximize=True)]
    return found[found >= 0]


def _greedy(row: np.ndarray, column: np.ndarray, gain: np.ndarray) -> np.ndarray:
    taken_rows, taken_columns, found = set[int](), set[int](), []
    for edge in np.argsort(-gain, kind="stable").tolist():
        one, other = int(row[edge]), int(column[edge])
        if one not in taken_rows and other not in taken_columns:
            taken_rows.add(one)
            taken_columns.add(other)
            found.append(edge)
    return np.array(found)
