"""Frames: the planes that an orthogonal, or any compact linear, action turns, from pairs alone and free of matrices."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

__all__ = ["Frame", "find_frame", "nearest_invariant"]

STEPS = 2_000
"""Steps of conjugate gradients at most; some dozens reach rounding."""

CONVERGED = 1e-15
"""Share of its first length to which the gradient falls."""

SINGULAR = 1e10
"""Condition of the samples' second moments above which they do not fill their space."""

COUPLED = 1e-6
"""Entry of a second invariant form, relative to its largest, that couples two single directions."""

INEXACT = 1e-12
"""Share of the variance of an invariant form within pairs above which nothing is invariant."""

PAIRED = 1e-8
"""Difference of two eigenvalues, relative to their range, below which they are equal."""


def nearest_invariant(form: Tensor, x: Tensor, x_prime: Tensor) -> Tensor:
    """The quadratic form nearest to a given one that does not tell the samples of a pair apart.

    Args:
        form: A symmetric matrix, ``(d, d)``.
        x: Samples ``(n, d)``.
        x_prime: Samples of the same entities, ``(n, d)``.

    Returns:
        A with x'ᵀAx' = xᵀAx for every pair, if there is one, else as nearly as it can be. Conjugate gradients on the
        least-squares problem never leave the span of the pairs' own constraints, so that what they find is nearest to
        where they start (equation 8.1 of ``docs/closed-form.md``).
    """

    def forward(a: Tensor) -> Tensor:
        return ((x @ a) * x).sum(1) - ((x_prime @ a) * x_prime).sum(1)

    def backward(r: Tensor) -> Tensor:
        return x.T @ (r[:, None] * x) - x_prime.T @ (r[:, None] * x_prime)

    residual = -forward(form)
    direction = gradient = backward(residual)
    first = square = gradient.square().sum()
    for _ in range(STEPS):
        if square <= first * CONVERGED**2:
            break
        image = forward(direction)
        step = square / image.square().sum()
        form = form + step * direction
        residual = residual - step * image
        gradient = backward(residual)
        before, square = square, gradient.square().sum()
        direction = gradient + (square / before) * direction
    return (form + form.T) / 2


class Frame(NamedTuple):
    """Subspaces whose projections keep their length under the distortion."""

    parts: list[Tensor]
    """Vectors that span each, ``(d, w)``."""
    alike: list[list[int]]
    """Sets of indices of single directions that may be turned into each other and stay as invariant."""


def find_frame(x: Tensor, x_prime: Tensor, generator: torch.Generator) -> Frame:
    """The subspaces that a compact linear action moves nothing out of.

    A random invariant form A and a positive one P have P⁻¹A commute with every distortion, so that the eigenspaces
    of one are such subspaces: planes and single directions where the action is abelian.

    Args:
        x: Samples ``(n, d)``.
        x_prime: Samples of the same entities.
        generator: A is drawn from it.

    Returns:
        The frame; without parts where no positive form is found.

    Reference:
        Cohen and Welling, "Learning the irreducible representations of commutative Lie groups" (2014).
    """
    if len(x) < x.shape[1] ** 2 / 2:  # fewer pairs than a form has numbers: many forms are invariant by chance
        return Frame([], [])
    both = torch.cat([x, x_prime])
    spread = both.T @ both / len(both)
    if not float(torch.linalg.cond(spread)) < SINGULAR:
        return Frame([], [])
    positive = nearest_invariant(torch.linalg.inv(spread), x, x_prime)
    root, failed = torch.linalg.cholesky_ex(positive)
    if int(failed) or _left(positive, x, x_prime) > INEXACT:
        return Frame([], [])

    def whitened() -> Tensor:
        """L⁻¹ A L⁻ᵀ of a random invariant form, for P = L Lᵀ."""
        form = torch.randn(x.shape[1], x.shape[1], generator=generator, dtype=torch.float64).to(x.device)
        half = torch.linalg.solve_triangular(root, nearest_invariant((form + form.T) / 2, x, x_prime), upper=False)
        return torch.linalg.solve_triangular(root, half.T, upper=False)

    values, vectors = torch.linalg.eigh(whitened())
    apart = (values[1:] - values[:-1]) > PAIRED * (values[-1] - values[0])
    ends = [0, *(apart.nonzero()[:, 0] + 1).tolist(), len(values)]
    spans = list(pairwise(ends))
    singles = [index for index, (start, end) in enumerate(spans) if end - start == 1]
    rows = [spans[index][0] for index in singles]
    second = vectors.T @ whitened() @ vectors
    coupled = second[rows][:, rows].abs() > COUPLED * second.abs().max()
    parts = [root @ vectors[:, start:end] for start, end in spans]
    return Frame(parts, [[singles[place] for place in group] for group in _connected(coupled.cpu()) if len(group) > 1])


def _left(form: Tensor, x: Tensor, x_prime: Tensor) -> float:
    """Share of the variance of a form that lies within pairs."""
    values, others = ((part @ form * part).sum(1) for part in (x, x_prime))
    return float((values - others).square().mean() / (2 * values.var()).clamp(min=1e-300))


def _connected(adjacent: Tensor) -> list[list[int]]:
    """Connected components of a symmetric matrix of booleans."""
    count, labels = connected_components(adjacent.numpy(), directed=False)
    return [[place for place, label in enumerate(labels) if label == component] for component in range(count)]
