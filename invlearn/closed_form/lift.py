"""Lifts: nonlinear features of samples, which a linear map turns into a code."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

__all__ = ["Lengths", "Monomials", "monomial_count"]


def monomial_count(rank: int, degree: int) -> int:
    """Number of monomials of degree 1 to p in r variables, C(r + p, p) - 1.

    Example:
        >>> monomial_count(18, 2), monomial_count(18, 3)
        (189, 1329)
    """
    return math.comb(rank + degree, degree) - 1


class Monomials(nn.Module):
    """All monomials of degree 1 to p of r variables, without parameters.

    They are sorted by degree, then lexicographically by the indices of their variables.

    Args:
        rank: Variables r.
        degree: Largest degree p, at least 1.

    Example:
        >>> Monomials(2, 2)(torch.tensor([[[2.0, 3.0]]]))
        tensor([[[2., 3., 4., 6., 9.]]])
    """

    def __init__(self, rank: int, degree: int):
        super().__init__()
        self.rank, self.degree = rank, degree
        # A monomial is one of the next lower degree times a variable; its variables are in ascending order.
        below: dict[tuple[int, ...], int] = {(index,): index for index in range(rank)}
        for power in range(2, degree + 1):
            indices = list(combinations_with_replacement(range(rank), power))
            factors = torch.tensor([[below[index[:-1]], index[-1]] for index in indices]).T
            self.register_buffer(f"factors_{power}", factors.contiguous(), persistent=False)
            below = {index: place for place, index in enumerate(indices)}

    @property
    def features(self) -> int:
        """Number of monomials m."""
        return monomial_count(self.rank, self.degree)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(*, r)`` to ``(*, m)``."""
        parts = [x]
        for power in range(2, self.degree + 1):
            first, second = self.get_buffer(f"factors_{power}")
            parts.append(parts[-1][..., first] * x[..., second])
        return torch.cat(parts, dim=-1)

    def within(self, rank: int, degree: int) -> Tensor:
        """Indices of the monomials of ``Monomials(rank, degree)`` among these, in the same order, ``(m',)``."""
        chosen = []
        start = 0
        for power in range(1, degree + 1):
            indices = combinations_with_replacement(range(self.rank), power)
            chosen += [start + place for place, index in enumerate(indices) if index[-1] < rank]
            start += math.comb(self.rank + power - 1, power)
        return torch.tensor(chosen)

    def extra_repr(self) -> str:
        """Its sizes."""
        return f"{self.rank}, degree={self.degree}"


class Lengths(nn.Module):
    r"""Lengths of the projections onto subspaces: on planes they are the extended layer's 2-norms (Section 4).

    .. math:: φ_k(x) = \sqrt{\sum_w (x \cdot e_{wk})^2}

    Args:
        frame: Vectors that span each subspace, ``(R, r, W, K)``, padded with zeros to W dimensions.
    """

    degree = 0
    """Lengths have no degree; candidates store 0."""

    def __init__(self, frame: Tensor):
        super().__init__()
        self.frame = nn.Parameter(frame)

    @property
    def rank(self) -> int:
        """Variables r."""
        return self.frame.shape[1]

    @property
    def features(self) -> int:
        """Number of lengths K."""
        return self.frame.shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, r)`` to ``(R, B, K)``."""
        parts = [(x @ self.frame[:, :, part]).square() for part in range(self.frame.shape[2])]
        return sum(parts[1:], parts[0]).sqrt()
