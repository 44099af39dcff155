"""Invariants of first to third order that couple the subspaces of a frame, found without all monomials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ESTIMATED", "TESTED", "Coupling", "couplings"]

TESTED = 5_000
"""Maximal number of pairs that decide which subspaces are coupled."""

SOLVED = 2_000
"""Maximal number of pairs that decide which forms of coupled subspaces are invariant."""

COUPLED = 2.5
"""Standard errors of a cross-moment above which many subspaces may be coupled; the eigenproblem decides."""

EXACT, ESTIMATED = 1e-8, 0.5
"""Shares of variance within pairs below which a form counts as invariant, in exact and in estimated subspaces."""

CONSTANT = 1e-10
"""Share of the largest variance below which a product, or a combination of products, counts as constant."""

MOST = 1_000
"""Maximal number of sets of subspaces whose eigenproblems are solved."""

BLOCK = 2**23
"""Maximal size of the products in memory, in numbers."""


class Coupling(NamedTuple):
    """Invariant forms of a frame."""

    places: Tensor
    """Indices of the three subspaces of each form, from 1; 0 stands for the constant 1; ``(J, 3)``."""
    coefficients: Tensor
    """Coefficients of each form, scaled to variance 1, ``(J, W, W, W)``."""


def couplings(parts: Sequence[Tensor], x: Tensor, x_prime: Tensor, *, exact: bool) -> Coupling:
    r"""Invariants of first, second and third order in the coordinates of at most three irreducible subspaces.

    A distortion acts on each subspace k by an orthogonal matrix. Then the mean over all pairs of

    .. math:: (y_a \cdot y'_a)(y_b \cdot y'_b)(y_c \cdot y'_c)

    is the squared size of the invariant part of :math:`y_a \otimes y_b \otimes y_c`: it is positive if there is an
    invariant, and 0 otherwise. So a product of matrices finds the coupled sets; for a hidden shift they are the
    frequencies with ±j ± k ± l = 0. A small eigenproblem for each set, of the variance within pairs and over all, then
    finds its forms.

    Args:
        parts: Vectors that span each subspace, ``(d, w)``, orthonormal for an invariant form.
        x: Samples ``(n, d)``.
        x_prime: Samples of the same entities.
        exact: Whether the distortion maps the subspaces exactly to themselves.
    """
    width = max(part.shape[1] for part in parts)
    frame = x.new_zeros(x.shape[1], width, 1 + len(parts))
    for index, part in enumerate(parts, 1):
        frame[:, : part.shape[1], index] = part
    y, y_prime = (torch.einsum("nd,dwk->nkw", rows[:TESTED], frame) for rows in (x, x_prime))
    y[:, 0, 0] = y_prime[:, 0, 0] = 1
    solved = partial(_solved, y=y[:SOLVED], y_prime=y_prime[:SOLVED], most=EXACT if exact else ESTIMATED)
    of_one = torch.tensor([[0, 0, index] for index in range(1, 1 + len(parts))], device=x.device)
    linear = solved(of_one)
    is_fixed = torch.zeros(1 + len(parts), dtype=torch.bool, device=x.device)
    is_fixed[linear.places[:, 2]] = True
    coupled = solved(_coupled((y * y_prime).sum(2), is_fixed))
    return Coupling(*(torch.cat(both) for both in zip(linear, coupled, strict=True)))


def _coupled(p: Tensor, is_fixed: Tensor) -> Tensor:
    """Sets of two and of three subspaces: all if these are few, else those with cross-moments above 0.

    Args:
        p: Products y·y' in each subspace, the constant first, ``(n, 1 + K)``.
        is_fixed: Whether a subspace is fixed by the distortion, so that its products with others give nothing new.

    Returns:
        Indices in ascending order, ``(T, 3)``; a set of two subspaces also has the constant, 0. Each subspace is
        coupled with itself, because the square of its length is invariant.
    """
    n, count = p.shape
    p = p / p.square().mean(0).sqrt().clamp(min=1e-300)
    square, indices = p.square(), torch.arange(count, device=p.device)
    is_new = ~is_fixed & (indices > 0)
    free = int(is_new.sum())
    least = -torch.inf if math.comb(free + 2, 3) + math.comb(free + 1, 2) <= MOST else COUPLED
    places, scores = [], []
    for a in [0, *is_new.nonzero()[:, 0].tolist()]:
        mean = (p * p[:, a, None]).T @ p / n
        variance = (square * square[:, a, None]).T @ square / n - mean.square()
        score = mean / (variance.clamp(min=1e-30) / n).sqrt()
        if a == 0:
            score.fill_diagonal_(torch.inf)
        allowed = (is_new & (indices >= a))[:, None] & is_new & (indices[:, None] <= indices)
        b, c = ((score > least) & allowed).nonzero().T
        places.append(torch.stack([torch.full_like(b, a), b, c], 1))
        scores.append(score[b, c])
    return _surest(torch.cat(places), torch.cat(scores), count)


def _surest(places: Tensor, scores: Tensor, count: int) -> Tensor:
    """At most ``MOST`` sets: the best of each subspace by score, then the second best of each, and so on."""
    order = scores.argsort(descending=True, stable=True)
    places = places[order]
    if len(places) <= MOST:
        return places
    ranks = torch.full((len(places),), len(places), device=places.device)
    for index in range(1, count):
        of = (places == index).any(1).nonzero()[:, 0]
        ranks[of] = torch.minimum(ranks[of], torch.arange(len(of), device=places.device))
    return places[ranks.argsort(stable=True)[:MOST]]


def _solved(places: Tensor, y: Tensor, y_prime: Tensor, most: float) -> Coupling:
    """The forms of each set with a share of variance within pairs below ``most``; ``y`` is ``(n, 1 + K, W)``."""
    n, _, width = y.shape
    found = []
    for some in places.split(max(1, BLOCK // (n * width**3))):
        products, changed = (_products(part, some) for part in (y, y_prime))
        within = torch.einsum("tnp,tnq->tpq", products - changed, products - changed) / (2 * n)
        both = torch.cat([products, changed], 1)
        both = both - both.mean(1, keepdim=True)
        shares, vectors = _eigenproblems(within, both.mT @ both / (2 * n))
        index, column = (shares < most).nonzero().T
        coefficients = vectors[index, :, column].view(-1, width, width, width)
        found.append(Coupling(some[index], coefficients))
    return Coupling(*(torch.cat(part) for part in zip(*found, strict=True)))


def _products(y: Tensor, places: Tensor) -> Tensor:
    """All products of coordinates in three subspaces, ``(T, n, W³)``."""
    a, b, c = (y[:, place].transpose(0, 1) for place in places.T)
    return torch.einsum("tnp,tnq,tns->tnpqs", a, b, c).flatten(2)


def _eigenproblems(within: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of variance within pairs ``(T, m)``, and directions of variance 1, ``(T, m, m)``, one per column.

    Some products are equal or constant; the directions that this leaves without variance get the share 2.
    """
    variances, axes = torch.linalg.eigh(covariance)
    kept = variances > CONSTANT * variances[:, -1:].clamp(min=1e-300)
    white = axes * torch.where(kept, variances.clamp(min=1e-300).rsqrt(), 0)[:, None]
    matrix = white.mT @ within @ white + torch.diag_embed(2.0 * ~kept)
    shares, rotation = torch.linalg.eigh(matrix)
    return shares, white @ rotation
