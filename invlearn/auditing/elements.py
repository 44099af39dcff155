"""Linear maps of samples as elements of groups: permutations, cycles, products."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = [
    "EQUAL",
    "MOST_ELEMENTS",
    "Distinct",
    "Element",
    "Signed",
    "cycles_of",
    "full_cycle",
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

LONGEST = 1_000
"""Largest order of an element that is computed."""


class Signed(NamedTuple):
    """A signed permutation."""

    goes: list[int]
    """Index that each feature's value moves to."""
    signs: list[int]
    """Its sign there, 1 or -1."""


@dataclass(frozen=True)
class Element:
    """A linear map of samples."""

    map: Tensor | Signed
    """A matrix ``(d, d)``, or in less memory a signed permutation."""
    source: str
    """Its origin: ``pairs``, or a description."""
    pairs: int = 0
    """Number of pairs of the data that differ by it."""

    def __call__(self, x: Tensor) -> Tensor:
        """Move samples ``(n, d)``."""
        if not isinstance(self.map, Signed):
            return x @ self.map.T
        moved = torch.empty_like(x)
        moved[:, self.map.goes] = x * torch.tensor(self.map.signs, dtype=x.dtype)
        return moved

    def __matmul__(self, other: Element) -> Element:
        """Their product: the other one moves samples first."""
        if isinstance(self.map, Signed) and isinstance(other.map, Signed):
            (goes, signs), (first, before) = self.map, other.map
            product = Signed(
                [goes[at] for at in first], [signs[at] * sign for at, sign in zip(first, before, strict=True)]
            )
            return Element(product, "product")
        return Element(rounded(self.matrix @ other.matrix, EQUAL), "product")

    @classmethod
    def identity(cls, d: int) -> Element:
        """The identity on samples of d features."""
        return cls(Signed(list(range(d)), [1] * d), "identity")

    @property
    def dim(self) -> int:
        """Number of features d."""
        return len(self.map.goes if isinstance(self.map, Signed) else self.map)

    @property
    def matrix(self) -> Tensor:
        """``(d, d)``."""
        return as_matrix(*self.map) if isinstance(self.map, Signed) else self.map

    @property
    def permutation(self) -> list[int] | None:
        """Index that each feature's value moves to, if it is a permutation without signs."""
        return self.map.goes if isinstance(self.map, Signed) and min(self.map.signs) > 0 else None

    @property
    def order(self) -> int | None:
        """Its order in the group; None above a thousand."""
        if isinstance(self.map, Signed):
            order = math.lcm(
                *(
                    len(cycle) if math.prod(self.map.signs[at] for at in cycle) > 0 else 2 * len(cycle)
                    for cycle in _cycles(self.map.goes)
                )
            )
            return order if order <= LONGEST else None
        power, eye = self.map, torch.eye(len(self.map), dtype=torch.float64)
        for count in range(1, LONGEST + 1):
            if float((power - eye).abs().max()) < count * EQUAL:
                return count
            power = power @ self.map
        return None


def signed_permutation(matrix: Tensor, tolerance: float = TURNED) -> Signed | None:
    """The signed permutation that a matrix nearly is: where the value of each feature goes, and with which sign.

    Example:
        >>> signed_permutation(torch.tensor([[0.1, 1.0], [-0.9, 0.0]]))
        Signed(goes=[1, 0], signs=[-1, 1])
    """
    rows, columns = linear_sum_assignment(-matrix.abs().numpy())
    goes = np.empty(len(rows), dtype=int)
    goes[columns] = rows
    signs = matrix[torch.from_numpy(goes), torch.arange(len(goes))].sign()
    exact = as_matrix(goes.tolist(), signs.tolist())
    if float((exact - matrix).abs().max()) > tolerance or not bool(signs.all()):
        return None
    return Signed(goes.tolist(), [int(sign) for sign in signs])


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
    return [cycle for cycle in _cycles(goes) if len(cycle) > 1]


def _cycles(goes: Sequence[int]) -> list[list[int]]:
    seen, cycles = [False] * len(goes), []
    for start in range(len(goes)):
        cycle, at = [], start
        while not seen[at]:
            seen[at] = True
            cycle.append(at)
            at = goes[at]
        if cycle:
            cycles.append(cycle)
    return cycles


def full_cycle(goes: Sequence[int] | None) -> list[int] | None:
    """The cycle of a permutation that has one of all features."""
    cycles = [] if goes is None else _cycles(goes)
    return cycles[0] if len(cycles) == 1 else None


def rounded(matrix: Tensor, tolerance: float = TURNED) -> Tensor | Signed:
    """The signed permutation that a matrix nearly is, or itself."""
    return signed_permutation(matrix, tolerance) or matrix


def generated(elements: Sequence[Element]) -> list[Element] | None:
    """The group that elements generate, the identity first; None if it has more than ``MOST_ELEMENTS``."""
    if not elements:
        return []
    group = [Element.identity(elements[0].dim)]
    known = Distinct(group)
    generators: list[Element] = []
    for one in elements:
        if not known.add(one):
            continue
        group.append(one)
        generators.append(one)
        index = 0
        while index < len(group):  # products with the new element are new, and their products with the others may be
            for generator in generators:
                product = group[index] @ generator
                if known.add(product):
                    group.append(product)
                if len(group) > MOST_ELEMENTS:
                    return None
            index += 1
    return group


def without_repetitions(elements: Sequence[Element]) -> list[Element]:
    """Distinct elements, without the identity."""
    known = Distinct([Element.identity(one.dim) for one in elements[:1]])
    return [one for one in elements if known.add(one)]


class Distinct:
    """Elements that have been seen; matrices are compared with a tolerance, because products are inexact.

    Args:
        elements: The first of them.
    """

    def __init__(self, elements: Iterable[Element] = ()) -> None:
        self._signed: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        self._matrices: dict[tuple[int, ...], list[Tensor]] = {}
        for one in elements:
            self.add(one)

    def add(self, element: Element) -> bool:
        """Keep an element; return whether it is new."""
        if element in self:
            return False
        if isinstance(element.map, Signed):
            self._signed.add(_key(element.map))
        else:
            self._matrices.setdefault(_largest(element.map), []).append(element.map)
        return True

    def __contains__(self, element: Element) -> bool:
        if isinstance(element.map, Signed):
            return _key(element.map) in self._signed
        alike = self._matrices.get(_largest(element.map), [])
        return any(float((one - element.map).abs().max()) < 10 * EQUAL for one in alike)


def _key(signed: Signed) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(signed.goes), tuple(signed.signs)


def _largest(matrix: Tensor) -> tuple[int, ...]:
    return tuple(matrix.abs().argmax(1).tolist())
