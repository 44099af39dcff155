"""Verify symmetries: samples that they move must keep their code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from invlearn.auditing.algebra import White
from invlearn.auditing.data import AuditData
from invlearn.auditing.elements import Distinct, Element, cycles_of, full_cycle, generated
from invlearn.auditing.encoders import Encoder
from invlearn.auditing.finite import SWAP, elements_of_pairs, variations
from invlearn.auditing.generators import describe
from invlearn.auditing.profile import Distances
from invlearn.auditing.reference import Reference
from invlearn.auditing.search import searched_elements

__all__ = ["Finite", "Generator", "Known", "finite_symmetries", "verified_generators"]

TRIED = 256
"""Number of samples on which a symmetry is verified."""

FEW = 16
"""Number of samples of a first test, which most candidates fail."""

TIMES = (0.25, 1.0)
"""Times for which generators of norm 1 move samples."""

PAIRS = 2_000
"""Number of same pairs from which elements of a group are found."""

EXPLAINED = 0.8
"""Least share of the pairs that the data's finite group explains."""


@dataclass(frozen=True)
class Generator:
    """A continuous symmetry of a code."""

    matrix: Tensor
    """X, ``(d, d)``, of length 1, in the features' own units."""
    description: str
    change: float
    """Largest change of the code as exp(tX) moves samples, relative to strangers."""
    verified: bool
    """Whether that is nearly 0."""
    blind: bool | None
    """Whether the code ignores it in truth, but the data's invariants change; None if there are no invariants."""


@dataclass(frozen=True)
class Known:
    """A finite symmetry of a code."""

    element: Element
    change: float
    """Median change of the code, relative to strangers."""
    blind: bool | None
    """Whether it is not a symmetry of the data; None if unknown."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        goes = self.element.permutation
        return {
            "source": self.element.source,
            "cycles": None if goes is None else cycles_of(goes),
            "order": self.element.order,
            "change": self.change,
            "blind": self.blind,
        }


@dataclass(frozen=True)
class Finite:
    """Finite symmetries of a code."""

    elements: list[Known]
    order: int | None
    """Order of the group that they generate; None above some hundreds."""
    closed: bool
    """Whether products of the elements are among them."""
    explained: float
    """Share of the data's same pairs that differ by one of the elements found from pairs."""
    swaps: int
    """Swaps of two features that the code ignores; all that are tried generate the symmetric group."""

    @property
    def is_of_data(self) -> bool:
        """Whether the data's distortion is a finite group, so that the data have no continuous symmetry."""
        return self.explained > EXPLAINED

    @property
    def permutations(self) -> list[Known]:
        """The permutations of features, swaps of two among them."""
        return [one for one in self.elements if one.element.permutation is not None]


def _change(encoder: Encoder, codes: Tensor, moved: Tensor, distances: Distances) -> float:
    changes = (encoder.encode(moved) - codes).norm(dim=1).nan_to_num(nan=math.inf)
    return float(changes.median()) / distances.strangers


def verified_generators(
    encoder: Encoder,
    data: AuditData,
    distances: Distances,
    matrices: Tensor,
    white: White,
    *,
    reference: Reference | None,
    cycle: Sequence[int] | None,
    is_finite: bool,
) -> list[Generator]:
    """Describe generators, and move samples by them for a finite time.

    Args:
        encoder: The encoder.
        data: The data.
        distances: Reference distances of the code.
        matrices: The generators, ``(K, d, d)``.
        white: Coordinates in which they are linear maps.
        reference: The data's invariants.
        cycle: Features in the order of the cycle along which the data's distortion moves them, if it does.
        is_finite: Whether the data's distortion is a finite group, so that every continuous symmetry is blind.
    """
    x, found = data.x[:TRIED], []
    codes = encoder.encode(x)
    for matrix in matrices:
        size = float((x @ matrix.T).norm(dim=1).mean() / x.norm(dim=1).mean())
        moved = [white.moved(x, matrix, sign * time / size) for time in TIMES for sign in (1, -1)]
        change = max(_change(encoder, codes, one, distances) for one in moved)
        verified = change <= distances.unchanged
        if not verified:
            blind = False
        elif is_finite or reference is None:
            blind = True if is_finite else None
        else:
            blind = max(reference.change(x, one) for one in moved) > reference.threshold
        told = describe(matrix, data.features, cycle)
        in_units = data.map_in_units(matrix)
        found.append(Generator(in_units / in_units.norm(), told, change, verified, blind))
    return sorted(found, key=lambda one: (not one.blind, one.change))


def finite_symmetries(
    encoder: Encoder, data: AuditData, distances: Distances, reference: Reference | None, *, search: bool
) -> tuple[Finite, list[int] | None]:
    """Finite symmetries, and the cycle that the data's distortion moves features along.

    Args:
        encoder: The encoder.
        data: The data.
        distances: Reference distances of the code.
        reference: The data's invariants.
        search: Whether to search for elements beyond those from pairs; they must be isolated, so the code must have no
            continuous symmetries.
    """
    x = data.x[:TRIED]
    same = data.observed.same_pairs(PAIRS)
    of_pairs, explained = elements_of_pairs(same.x, same.x_prime, data.parts)
    group = generated(of_pairs) if explained > EXPLAINED else None
    of_data = None if group is None else Distinct(group)
    cycle = next((cycle for one in of_pairs if (cycle := full_cycle(one.permutation))), None)
    searched: list[Element] = []
    if search:
        searched = searched_elements(encoder, x, data.parts, strangers=distances.strangers, seed=data.seed)
    known, swaps, codes = [], 0, encoder.encode(x)
    seen = Distinct([Element.identity(data.dim)])
    for element in chain(of_pairs, searched, variations(of_pairs, _singles(data.parts), data.dim)):
        if _change(encoder, codes[:FEW], element(x[:FEW]), distances) > 10 * distances.unchanged:
            continue
        moved = element(x)
        change = _change(encoder, codes, moved, distances)
        if change > distances.unchanged or not seen.add(element):
            continue
        swaps += element.source == SWAP
        if of_data is not None:
            blind = element not in of_data
        else:
            blind = None if reference is None else reference.change(x, moved) > reference.threshold
        known.append(Known(element, change, blind))
    group = generated([one.element for one in known])
    order = None if group is None else max(1, len(group))
    return Finite(known, order, order == len(known) + 1, explained, swaps), cycle


def _singles(parts: Sequence[Tensor]) -> list[Tensor]:
    """Single directions, each with the linear form that gives its coordinate, ``(d, 2)``."""
    if not parts:
        return []
    whole = torch.cat(list(parts), dim=1)
    dual = torch.linalg.pinv(whole).T
    singles, start = [], 0
    for part in parts:
        if part.shape[1] == 1:
            singles.append(torch.stack([dual[:, start], whole[:, start]], dim=1))
        start += part.shape[1]
    return singles
