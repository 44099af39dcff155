r"""The Lie algebra of a code: all continuous linear distortions that it ignores, as the null space of one matrix.

A distortion exp(tX) leaves z unchanged iff J(x) X x = 0 for all x, with J the derivatives of z: linear in X. The least
eigenvalues of the quadratic form E‖J(x) X x‖² are those of the symmetries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.encoders import Encoder
from invlearn.data.seeding import seeded_generator

__all__ = ["Algebra", "Linear", "White", "gap", "random_mixing", "symmetries", "whitened"]

MOST = 64
"""Principal components at most: r of them have r² unknowns."""

FLAT = 1e-10
"""Share of the largest variance below which samples do not vary in a direction."""

CONSTRAINTS = 3
"""Equations for each unknown."""

FEWEST = 256
"""Samples that an algebra rests on at least, where there are as many."""

SMALL = 0.15
"""Change of the code, relative to that of random moves, up to which a move may be a symmetry."""

NOTHING = 1e-3
"""The same without a larger value to compare with."""

JUMP = 4.0
"""Ratio of neighbouring values that is a gap."""

FLOOR = 1e-7
"""Relative rounding of values: square roots of eigenvalues in float64."""

RESAMPLES = 100
"""Resamples of the samples, for an interval."""

AROUND = 24
"""Values on either side of the gap that are resampled."""


class White(NamedTuple):
    """Coordinates in which samples have second moments 1: w = x @ to, x = w @ back."""

    to: Tensor
    """``(d, r)``."""
    back: Tensor
    """``(r, d)``."""

    def matrix(self, y: Tensor) -> Tensor:
        """A map of white coordinates ``(*, r, r)`` as one of samples, ``(*, d, d)``."""
        return self.back.T @ y @ self.to.T


def whitened(x: Tensor, most: int = MOST) -> White:
    """White coordinates of samples ``(n, d)``, about the origin, in the principal components that vary."""
    values, axes = torch.linalg.eigh(x.T @ x / len(x))
    kept = (values > FLAT * values[-1]).nonzero()[:, 0][-most:]
    roots = values[kept].sqrt()
    return White(axes[:, kept] / roots, (axes[:, kept] * roots).T)


class Linear(NamedTuple):
    """Moves Y y of white samples that a code ignores, y being w or (w, 1)."""

    values: Tensor
    """Change of the code along each move, relative to random moves of the same size, ascending, ``(p,)``."""
    moves: Tensor
    """Those moves, ``(p, r, q)``; E‖Y y‖² = 1."""
    dimension: int
    """How many are symmetries."""
    low: int
    """Lowest dimension in resamples of the samples, 2.5% quantile."""
    high: int
    """Highest."""


@dataclass(frozen=True)
class Algebra:
    """The continuous linear symmetries of a code."""

    white: White
    linear: Linear
    """Moves X x."""
    affine: Linear
    """Moves X x + b."""
    noise: float
    """Values below are rounding."""

    @property
    def dimension(self) -> int:
        """Dimension of the linear symmetries."""
        return self.linear.dimension

    @property
    def offsets(self) -> int:
        """How many more there are with an offset."""
        return max(0, self.affine.dimension - self.linear.dimension)

    @property
    def basis(self) -> Tensor:
        """Linear symmetries in white coordinates, ``(K, r, r)``."""
        return self.linear.moves[: self.dimension]


def random_mixing(width: int, most: int, seed: int) -> Tensor | None:
    """Random combinations of codes, ``(k, k')``, where there are more than need be; None where there are not.

    As many as a sample has features have the same null space as all of them.

    Args:
        width: k.
        most: k' at most.
        seed: Of the random ones.
    """
    if width <= most:
        return None
    return torch.randn(width, most, generator=seeded_generator(seed, "mixing"), dtype=torch.float64) / math.sqrt(most)


def symmetries(encoder: Encoder, x: Tensor, seed: int = 0) -> Algebra:
    """The continuous linear symmetries of an encoder.

    Args:
        encoder: The encoder.
        x: Samples ``(n, d)``, at which its derivatives are taken.
        seed: Of random draws.
    """
    white = whitened(x)
    mixing = random_mixing(encoder.width, 2 * len(white.back), seed)
    rank = _rank(encoder.jacobian(x[:8], white.back, mixing))
    r, available = len(white.back), len(x)
    needed = max(FEWEST, math.ceil(CONSTRAINTS * r * (r + 1) / rank))
    if needed > available:  # as many components as the samples can tell of
        r = max(1, min(r, int(math.sqrt(available * rank / CONSTRAINTS)) - 1))
        white, needed = White(white.to[:, -r:], white.back[-r:]), available
    x = x[:needed]
    slopes = encoder.jacobian(x, white.back, mixing)
    w = x @ white.to
    noise = max(FLOOR, encoder.noise)
    linear = _null_moves(slopes, w, noise, seed)
    one = torch.cat([w, torch.ones_like(w[:, :1])], dim=1)
    return Algebra(white, linear, _null_moves(slopes, one, noise, seed), noise)


def _rank(slopes: Tensor) -> int:
    values = torch.linalg.svdvals(slopes)
    return max(1, int((values > 1e-6 * values[:, :1]).sum(1).double().median()))


def _null_moves(slopes: Tensor, y: Tensor, noise: float, seed: int) -> Linear:
    """The moves Y y along which codes change least.

    Args:
        slopes: Derivatives of codes by white coordinates, ``(n, k, r)``.
        y: What moves are linear in, ``(n, q)``.
        noise: Values below are rounding.
        seed: Of random draws.
    """
    n, _, r = slopes.shape
    values, axes = torch.linalg.eigh(y.T @ y / n)
    kept = values > FLAT * values[-1]
    y = y @ (axes[:, kept] / values[kept].sqrt())
    q = y.shape[1]
    squares = (slopes.mT @ slopes).flatten(1)
    size = squares.view(n, r, r).diagonal(dim1=1, dim2=2).sum() / (n * r)
    products = (y[:, :, None] * y[:, None]).flatten(1)
    form = (squares.T @ products / (n * size)).view(r, r, q, q).transpose(1, 2).reshape(r * q, r * q)
    form = (form + form.T) / 2
    squared, moves = _smallest(form, min(r * q, q + 16), seed)
    sizes = squared.clamp(min=0).sqrt()
    if float(sizes[-1]) < SMALL and len(sizes) < r * q:  # more of them than were looked for
        squared, moves = torch.linalg.eigh(form)
        sizes = squared.clamp(min=0).sqrt()
    dimension = gap(sizes, noise)
    moves = moves.T.view(-1, r, q)
    first = max(0, dimension - AROUND)
    changes = torch.einsum("nkr,prq,nq->nkp", slopes, moves[first : dimension + AROUND], y) / size.sqrt()
    low, high = (first + count for count in _interval(changes, noise, seed))
    back = (axes[:, kept] / values[kept].sqrt()).T
    return Linear(sizes, moves @ back, dimension, low, high)


def _smallest(form: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """The smallest eigenvalues and their vectors, by inverse iteration where there are many more."""
    m = len(form)
    if 3 * count > m:
        return torch.linalg.eigh(form)
    shifted = form.clone()
    shifted.diagonal().add_(1e-12 * form.diagonal().mean())
    root, failed = torch.linalg.cholesky_ex(shifted)
    if int(failed):
        return torch.linalg.eigh(form)
    basis = torch.randn(m, count, generator=seeded_generator(seed, "iteration"), dtype=form.dtype)
    for _ in range(4):
        basis = torch.linalg.qr(torch.cholesky_solve(basis, root)).Q
    values, vectors = torch.linalg.eigh(basis.T @ form @ basis)
    return values, basis @ vectors


def gap(sizes: Tensor, noise: float) -> int:
    """How many of ascending values are next to nothing: those below the last jump up from a small value.

    Example:
        >>> gap(torch.tensor([0.0, 1e-9, 0.011, 0.014, 0.6, 0.7]), 1e-7)
        4
    """
    sizes = sizes.clamp(min=noise)
    if float(sizes[-1]) <= NOTHING:
        return len(sizes)
    small, jumps = sizes[:-1] <= SMALL, sizes[1:] >= JUMP * sizes[:-1]
    found = (small & jumps).nonzero()[:, 0]
    return int(found[-1]) + 1 if len(found) else 0


def _interval(changes: Tensor, noise: float, seed: int) -> tuple[int, int]:
    """How many moves are symmetries in resamples of the samples, 95% of them.

    Args:
        changes: Of codes along moves on either side of the gap, ``(n, k, p)``.
        noise: Values below are rounding.
        seed: What resamples are drawn from.
    """
    n, _, p = changes.shape
    each = (changes.mT @ changes).flatten(1)
    draws = torch.randint(n, (RESAMPLES, n), generator=seeded_generator(seed, "resamples"))
    counts = torch.zeros(RESAMPLES, n, dtype=torch.float64)
    counts.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))
    values = torch.linalg.eigvalsh((counts @ each / n).view(RESAMPLES, p, p)).clamp(min=0).sqrt()
    found = torch.tensor([gap(one, noise) for one in values], dtype=torch.float64)
    low, high = found.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return round(low), round(high)
