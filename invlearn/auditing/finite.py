"""Finite symmetries: the elements by which pairs of the data differ, and others that a code may ignore."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from invlearn.auditing.elements import EQUAL, Element, Signed, full_cycle, rounded, without_repetitions

__all__ = ["SWAP", "elements_of_pairs", "swaps", "variations"]

SWAP = "swap of two features"
"""Origin of such elements."""

SHARP = 1e-3
"""Largest root mean square difference of two equal elements without noise; entries are of size 1."""

BLURRED = 0.5
"""The same with any noise."""

LEFT = 0.25
"""Distance from the moved sample, relative to its length, below which an element explains a pair."""

MOSTLY = 0.5
"""Least share of pairs with elements; below it, pairs agree by chance."""

OFTEN, RARE = 3, 0.2
"""Least number of pairs with an element, and their least share of those with the most frequent one: rarer is noise."""

MOST = 10_000
"""Maximal number of variations of a kind that are tried."""


def elements_of_pairs(x: Tensor, x_prime: Tensor, parts: Sequence[Tensor]) -> tuple[list[Element], float]:
    """The elements by which samples of the same entity differ, if they are few.

    A pair rotates each plane by an angle, or reflects it; single directions keep or change their sign. Elements that
    several pairs share are averaged over these, and rounded if they are nearly signed permutations.

    Args:
        x: Samples ``(n, d)``.
        x_prime: Samples of the same entities.
        parts: Planes and single directions in which the lengths of a pair agree, ``(d, w)`` each.

    Returns:
        The elements, the most frequent first, and the share of pairs that one of them, or the identity, explains; no
        elements if parts are larger than planes, or if elements do not recur.
    """
    if not parts or any(part.shape[1] > 2 for part in parts):
        return [], 0.0
    whole = torch.cat(list(parts), dim=1)
    back = torch.linalg.pinv(whole)
    before, after = x @ whole, x_prime @ whole
    widths = [part.shape[1] for part in parts]
    found: list[tuple[Tensor, Tensor, bool]] = []
    for is_reflected in (False, True):
        turns, blur = _turns(before, after, widths, is_reflected)
        for members in _clusters(turns, min(BLURRED, max(SHARP, 5 * blur))):
            found.append((members, turns[members].mean(0), is_reflected))
    least = max(OFTEN, RARE * max((len(members) for members, *_ in found), default=0))
    shown, explained = torch.zeros(len(x), dtype=torch.bool), torch.zeros(len(x), dtype=torch.bool)
    elements = []
    for members, mean, is_reflected in sorted(found, key=lambda one: -len(one[0])):
        if len(members) >= least:
            inside = _block_diagonal(mean, widths, is_reflected)
            element = Element(rounded(back.T @ inside @ whole.T), "pairs", len(members))
            left = (x_prime[members] - element(x[members])).norm(dim=1) / x_prime[members].norm(dim=1)
            shown[members], explained[members] = True, left < LEFT
            elements.append(element)
    if float(shown.double().mean()) < MOSTLY:  # a few pairs may agree by chance
        return [], 0.0
    return without_repetitions(elements), float(explained.double().mean())


def _turns(before: Tensor, after: Tensor, widths: list[int], is_reflected: bool) -> tuple[Tensor, float]:
    """Cosine and sine of the angle in each plane, the sign in each direction, ``(n, m)``, and their noise."""
    turns, noise, start = [], [], 0
    for width in widths:
        u, v = before[:, start : start + width], after[:, start : start + width]
        start += width
        lengths = u.norm(dim=1) * v.norm(dim=1)
        noise.append((v.norm(dim=1) - u.norm(dim=1)).abs() / u.norm(dim=1).clamp(min=1e-300))
        if width == 1:
            turns.append((u * v).sign())
            continue
        a, b = u.T
        p, q = v.T
        sine = b * p + a * q if is_reflected else a * q - b * p
        cosine = a * p - b * q if is_reflected else a * p + b * q
        turns.append(torch.stack([cosine, sine], dim=1) / lengths.clamp(min=1e-300)[:, None])
    return torch.cat(turns, dim=1), float(torch.stack(noise).median())


def _block_diagonal(turns: Tensor, widths: list[int], is_reflected: bool) -> Tensor:
    blocks, start = [], 0
    for width in widths:
        if width == 1:
            blocks.append(turns[start].sign().view(1, 1))
        else:
            c, s = turns[start : start + 2] / turns[start : start + 2].norm().clamp(min=1e-300)
            rows = (
                [torch.stack([c, s]), torch.stack([s, -c])]
                if is_reflected
                else [torch.stack([c, -s]), torch.stack([s, c])]
            )
            blocks.append(torch.stack(rows))
        start += width
    return torch.block_diag(*blocks)


def _clusters(turns: Tensor, tolerance: float) -> list[Tensor]:
    """Indices of rows that agree, ``(k,)`` for each cluster of several rows."""
    free, clusters = torch.ones(len(turns), dtype=torch.bool), []
    for index in range(len(turns)):
        if not free[index]:
            continue
        near = (turns - turns[index]).square().mean(1).sqrt() < tolerance
        members = (near & free).nonzero()[:, 0]
        free[members] = False
        if len(members) >= OFTEN:
            clusters.append(members)
    return clusters


def swaps(d: int) -> Sequence[tuple[int, int]]:
    """Swaps of two features that are tried: all or, if they are too many, those of neighbours, which generate all."""
    if math.comb(d, 2) > MOST:
        return [(index, index + 1) for index in range(d - 1)]
    return list(combinations(range(d), 2))


def variations(elements: Sequence[Element], singles: Sequence[Tensor], d: int) -> Iterator[Element]:
    """Other elements that a code may ignore: signs, swaps of features, and reversals, also along a cycle.

    Args:
        elements: Elements found from pairs of the data.
        singles: Single directions, each with the linear form that gives its coordinate, ``(d, 2)``.
        d: Features of a sample.
    """
    same, plus = list(range(d)), [1] * d
    yield Element(Signed(same[::-1], plus), "mirror image")
    yield Element(Signed(same, [-1] * d), "sign")
    for some in _few(len(singles)):
        flip = torch.eye(d, dtype=torch.float64)
        for index in some:
            direction, form = singles[index].T
            flip -= 2 * torch.outer(direction, form)
        yield Element(rounded(flip, EQUAL), "sign of single directions")
    along = next((cycle for one in elements if (cycle := full_cycle(one.permutation))), None)
    if along is not None:
        for factor in range(2, d):
            if math.gcd(factor, d) == 1:
                goes = same.copy()
                for place, index in enumerate(along):
                    goes[index] = along[place * factor % d]
                name = "mirror image along the cycle" if factor == d - 1 else f"every {factor}. step along the cycle"
                yield Element(Signed(goes, plus), name)
    for index in range(d):
        yield Element(Signed(same, [*plus[:index], -1, *plus[index + 1 :]]), "sign of one feature")
    for first, second in swaps(d):
        goes = same.copy()
        goes[first], goes[second] = second, first
        yield Element(Signed(goes, plus), SWAP)


def _few(count: int) -> Iterator[tuple[int, ...]]:
    """Up to four of so many directions, as far as these choices are not too many."""
    for size in range(1, min(count, 4) + 1):
        if math.comb(count, size) <= MOST:
            yield from combinations(range(count), size)
