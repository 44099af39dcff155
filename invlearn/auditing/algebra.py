r"""The Lie algebra of a code: all continuous linear distortions that it ignores, as the null space of one matrix.

A distortion exp(tX) leaves z unchanged iff J(x) X x = 0 for all x, where J has the derivatives of z. This is linear in
X. The smallest eigenvalues of the quadratic form E‖J(x) X x‖² belong to the symmetries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.encoders import Encoder
from invlearn.data.seeding import seeded_generator

__all__ = ["Algebra", "Linear", "White", "gap", "random_mixing", "samples_needed", "symmetries", "whitened"]

MOST = 64
"""Maximal number of principal components: r of them have r² unknowns."""

FLAT = 1e-10
"""Share of the largest variance below which a direction counts as constant."""

CONSTRAINTS = 3
"""Equations per unknown."""

FEWEST = 256
"""Least number of samples for an algebra, if there are as many."""

SMALL = 0.15
"""Largest change of the code, relative to that of random moves, under a symmetry."""

NOTHING = 1e-3
"""The same if there is no larger value to compare with."""

RANKED = 16
"""Number of samples at which the rank of derivatives is measured."""

JUMP = 4.0
"""Ratio of neighbouring values that counts as a gap."""

FLOOR = 1e-7
"""Relative rounding error of values, which are square roots of eigenvalues in float64."""

RESAMPLES = 100
"""Number of resamples for an interval."""

AROUND = 24
"""Values on either side of the gap that are resampled."""


class White(NamedTuple):
    """Coordinates in which samples have second moments 1: w = x @ to, x = w @ back."""

    to: Tensor
    """``(d, r)``."""
    back: Tensor
    """``(r, d)``."""

    def matrix(self, y: Tensor) -> Tensor:
        """A linear map of white coordinates ``(*, r, r)`` as a map of samples, ``(*, d, d)``."""
        return self.back.T @ y @ self.to.T

    def moved(self, x: Tensor, matrix: Tensor, time: float) -> Tensor:
        """Samples ``(n, d)`` moved by exp(time X), where X is a map of white coordinates as one of samples."""
        inside = self.to.T @ matrix @ self.back.T
        w = x @ self.to
        return x + (w @ torch.matrix_exp(time * inside).T - w) @ self.back


def whitened(x: Tensor, most: int = MOST) -> White:
    """White coordinates of samples ``(n, d)``, not centred, in the principal components that vary."""
    values, axes = torch.linalg.eigh(x.T @ x / len(x))
    kept = (values > FLAT * values[-1]).nonzero()[:, 0][-most:]
    roots = values[kept].sqrt()
    return White(axes[:, kept] / roots, (axes[:, kept] * roots).T)


class Linear(NamedTuple):
    """Moves Y y of white samples that a code ignores, where y is w or (w, 1)."""

    values: Tensor
    """Change of the code along each move, relative to random moves of the same size, ascending, ``(p,)``."""
    moves: Tensor
    """The moves, ``(p, r, q)``, with E‖Y y‖² = 1."""
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
    """Values below this are rounding errors."""

    @property
    def dimension(self) -> int:
        """Dimension of the linear symmetries."""
        return self.linear.dimension

    @property
    def offsets(self) -> int:
        """Number of additional symmetries with an offset."""
        return max(0, self.affine.dimension - self.linear.dimension)

    @property
    def basis(self) -> Tensor:
        """Linear symmetries in white coordinates, ``(K, r, r)``."""
        return self.linear.moves[: self.dimension]


def random_mixing(width: int, most: int, seed: int) -> Tensor | None:
    """Random combinations of the features of a code, ``(k, k')``; None if there are at most ``most`` features.

    As many combinations as a sample has features have the same null space as all features of the code.

    Args:
        width: k.
        most: Largest k'.
        seed: Seed of the combinations.
    """
    if width <= most:
        return None
    return torch.randn(width, most, generator=seeded_generator(seed, "mixing"), dtype=torch.float64) / math.sqrt(most)


def symmetries(encoder: Encoder, x: Tensor, seed: int = 0) -> Algebra:
    """The continuous linear symmetries of an encoder.

    Args:
        encoder: The encoder.
        x: Samples of features in comparable units, ``(n, d)``, at which derivatives are taken if they are finite.
        seed: Seed of random draws.

    Raises:
        UserError: Derivatives are not finite at most samples.
    """
    white = whitened(x)
    mixing = random_mixing(encoder.width, 2 * len(white.back), seed)
    rank = _rank(encoder.finite_jacobian(x[:RANKED], white.back, mixing)[1])
    r, available = len(white.back), len(x)
    needed = samples_needed(r, rank, available + 1)
    if needed > available:  # as many components as the samples determine
        r = max(1, min(r, int(math.sqrt(available * rank / CONSTRAINTS)) - 1))
        white, needed = White(white.to[:, -r:], white.back[-r:]), available
    x, slopes = encoder.finite_jacobian(x[:needed], white.back, mixing)
    w = x @ white.to
    noise = max(FLOOR, encoder.noise)
    linear = _null_moves(slopes, w, noise, seed)
    one = torch.cat([w, torch.ones_like(w[:, :1])], dim=1)
    return Algebra(white, linear, _null_moves(slopes, one, noise, seed), noise)


def samples_needed(r: int, rank: int, available: int) -> int:
    """How many samples determine an algebra of r directions if each gives ``rank`` equations, as far as available."""
    return min(available, max(FEWEST, math.ceil(CONSTRAINTS * r * (r + 1) / rank)))


def _rank(slopes: Tensor) -> int:
    values = torch.linalg.svdvals(slopes)
    return max(1, int((values > 1e-6 * values[:, :1]).sum(1).double().median()))


def _null_moves(slopes: Tensor, y: Tensor, noise: float, seed: int) -> Linear:
    """The moves Y y along which codes change least.

    Args:
        slopes: Derivatives of codes by white coordinates, ``(n, k, r)``.
        y: Vectors that the moves are linear in, ``(n, q)``.
        noise: Values below this are rounding errors.
        seed: Seed of random draws.
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
    if float(sizes[-1]) < SMALL and len(sizes) < r * q:  # there may be more symmetries than were computed
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
    """The smallest eigenvalues and their vectors, by inverse iteration if the matrix is much larger."""
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
    """Number of nearly zero values among ascending ones: those before the last jump from a small value.

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
    """95% interval of the number of symmetries over resamples of the samples.

    Args:
        changes: Changes of codes along moves on either side of the gap, ``(n, k, p)``.
        noise: Values below this are rounding errors.
        seed: Seed of the resamples.
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
