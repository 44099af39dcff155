"""Linear maps of samples as elements of groups: permutations, cycles, products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = [
    "EQUAL",
    "MOST_ELEMENTS",
    "Element",
    "as_matrix",
    "cycles_of",
    "generated",
    "rounded",
    "signed_permutation",
    "without_repetitions",
]

TURNED = 0.3
"""Largest difference of a matrix from the signed permutation that it is rounded to."""

MOST_ELEMENTS = 512
"""Maximal number of listed elements of a group."""

EQUAL = 1e-3
"""Largest difference of the entries of two equal elements."""


@dataclass(frozen=True)
class Element:
    """A linear map of samples."""

    matrix: Tensor
    """``(d, d)``."""
    source: str
    """Its origin: ``pairs``, or a description."""
    pairs: int = 0
    """Number of pairs of the data that differ by it."""

    @property
    def permutation(self) -> list[int] | None:
        """Index that each feature's value moves to, if it is a permutation without signs."""
        found = signed_permutation(self.matrix, EQUAL)
        return found[0] if found and min(found[1]) > 0 else None

    @property
    def order(self) -> int | None:
        """Its order in the group; None above a thousand."""
        power, eye = self.matrix, torch.eye(len(self.matrix), dtype=torch.float64)
        for count in range(1, 1001):
            if float((power - eye).abs().max()) < count * EQUAL:
                return count
            power = power @ self.matrix
        return None


def signed_permutation(matrix: Tensor, tolerance: float = TURNED) -> tuple[list[int], list[int]] | None:
    """The signed permutation that a matrix nearly is: where the value of each feature goes, and with which sign.

    Example:
        >>> signed_permutation(torch.tensor([[0.1, 1.0], [-0.9, 0.0]]))
        ([1, 0], [-1, 1])
    """
    rows, columns = linear_sum_assignment(-matrix.abs().numpy())
    goes = np.empty(len(rows), dtype=int)
    goes[columns] = rows
    signs = matrix[torch.from_numpy(goes), torch.arange(len(goes))].sign()
    exact = as_matrix(goes.tolist(), signs.tolist())
    if float((exact - matrix).abs().max()) > tolerance or not bool(signs.all()):
        return None
    return goes.tolist(), [int(sign) for sign in signs]


def as_matrix(goes: Sequence[int], signs: Sequence[float] | None = None) -> Tensor:
    """The matrix of a permutation, perhaps with signs."""
    d = len(goes)
    matrix = torch.zeros(d, d, dtype=torch.float64)
    values = torch.ones(d, dtype=torch.float64) if signs is None else torch.tensor(signs, dtype=torch.float64)
    matrix[torch.tensor(goes), torch.arange(d)] = values
    return matrix


def cycles_of(goes: Sequence[int]) -> list[list[int]]:
    """The cycles of a permutation, without fixed points.

    Example:
        >>> cycles_of([2, 1, 3, 0])
        [[0, 2, 3]]
    """
    left, cycles = set(range(len(goes))), []
    while left:
        cycle = [min(left)]
        while (after := goes[cycle[-1]]) != cycle[0]:
            cycle.append(after)
        left -= set(cycle)
        if len(cycle) > 1:
            cycles.append(cycle)
    return cycles


def rounded(matrix: Tensor, tolerance: float = TURNED) -> Tensor:
    """The signed permutation that a matrix nearly is, or itself."""
    found = signed_permutation(matrix, tolerance)
    return matrix if found is None else as_matrix(*found)


def generated(elements: Sequence[Element]) -> list[Element] | None:
    """The group that elements generate, the identity first; None if it has more than ``MOST_ELEMENTS``."""
    if not elements:
        return []
    known = _Known()
    group = [Element(torch.eye(len(elements[0].matrix), dtype=torch.float64), "identity")]
    known.add(group[0].matrix)
    generators: list[Element] = []
    for one in elements:
        if not known.add(one.matrix):
            continue
        group.append(one)
        generators.append(one)
        index = 0
        while index < len(group):  # products with the new element are new, and their products with the others may be
            for generator in generators:
                matrix = rounded(group[index].matrix @ generator.matrix, EQUAL)
                if known.add(matrix):
                    group.append(Element(matrix, "product"))
                if len(group) > MOST_ELEMENTS:
                    return None
            index += 1
    return group


def without_repetitions(elements: Sequence[Element]) -> list[Element]:
    """Distinct elements, without the identity."""
    known = _Known()
    if elements:
        known.add(torch.eye(len(elements[0].matrix), dtype=torch.float64))
    return [one for one in elements if known.add(one.matrix)]


class _Known:
    """Matrices that have been seen; products of inexact ones are compared with a tolerance."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, ...], list[Tensor]] = {}

    def add(self, matrix: Tensor) -> bool:
        """Keep a matrix; return whether it is new."""
        at = self.kept.setdefault(tuple(matrix.abs().argmax(1).tolist()), [])
        if any(float((one - matrix).abs().max()) < 10 * EQUAL for one in at):
            return False
        at.append(matrix)
        return True
