"""Frames: the planes that an orthogonal, or any compact linear, action turns, from pairs alone and free of matrices."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import scipy
import torch
from torch import Tensor

__all__ = ["Frame", "fewest_pairs", "find_frame", "frame_pairs", "nearest_invariant"]

REFINEMENTS = 100
"""Corrections at most; four reach rounding. Each must halve the squared residual, which none does on noisy samples."""

STEPS = 60
"""Steps of conjugate gradients for a correction at most; thirty suffice where samples are white and clean."""

ROWS = 8_192
"""Pairs at a time, so that what is computed of them stays in the processor's cache."""

CONVERGED = 1e-15
"""Share of its first length to which the gradient falls."""

CORRECTED = 1e-6
"""The same for one correction, which is found in single precision."""

SINGULAR = 1e10
"""Condition of the samples' second moments above which they do not fill their space."""

TESTED = 1_000
"""Pairs that tell whether a product is invariant."""

COUPLED = 1e-9
"""Mean squared change of a product of two directions, relative to its square, at which it is invariant."""

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
        least-squares problem stay in the span of the pairs' own constraints, so that what they find is nearest to
        where they start: to single precision, while x'ᵀAx' = xᵀAx holds in double precision.
    """
    change, both = x - x_prime, x + x_prime
    residual = -_changes(form, change, both)
    gradient = _gradient(residual, change, both)
    first = float(gradient.norm())
    for _ in range(REFINEMENTS):
        left = float(gradient.norm())
        if left <= CONVERGED * first:
            break
        goal = max(CORRECTED, CONVERGED * first / left)
        form = form + left * _correction((gradient / left).float(), change, both, goal).to(form)
        before, residual = residual, -_changes(form, change, both)
        if residual.square().sum() > before.square().sum() / 2:
            break
        gradient = _gradient(residual, change, both)
    return (form + form.T) / 2


def _correction(gradient: Tensor, change: Tensor, both: Tensor, goal: float) -> Tensor:
    """The form whose changes have this gradient, by conjugate gradients in the gradient's precision.

    Products of single precision take half the time, and the caller corrects what rounding leaves.
    """
    form, direction = torch.zeros_like(gradient), gradient
    first = square = gradient.square().sum()
    for _ in range(STEPS):
        if square <= first * goal**2:
            break
        image = _changes(direction, change, both)
        step = square / image.square().sum()
        form = form + step * direction
        gradient = gradient - step * _gradient(image, change, both)
        before, square = square, gradient.square().sum()
        direction = gradient + (square / before) * direction
    return form


def _changes(form: Tensor, change: Tensor, both: Tensor) -> Tensor:
    """What a form tells apart within each pair: xᵀAx - x'ᵀAx' = (x - x')ᵀA(x + x'), a single product."""
    return torch.cat(
        [(u.to(form) @ form).mul_(v.to(form)).sum(1) for u, v in zip(change.split(ROWS), both.split(ROWS), strict=True)]
    )


def _gradient(changes: Tensor, change: Tensor, both: Tensor) -> Tensor:
    """The symmetric form along which the squared changes grow fastest."""
    half = changes.new_zeros(change.shape[1], change.shape[1])
    parts = zip(change.split(ROWS), both.split(ROWS), changes.split(ROWS), strict=True)
    for u, v, part in parts:
        half.addmm_(u.to(half).T, part[:, None] * v.to(half))
    return (half + half.T) / 2


class Frame(NamedTuple):
    """Subspaces whose projections keep their length under the distortion."""

    parts: list[Tensor]
    """Vectors that span each, ``(d, w)``."""
    alike: list[list[int]]
    """Sets of indices of single directions that may be turned into each other and stay as invariant."""


def frame_pairs(dim: int) -> int:
    """Pairs that tell a frame of d features: somewhat more than twice as many as a symmetric form has numbers."""
    return int(1.2 * dim**2) + 2_000


def fewest_pairs(dim: int) -> int:
    """Pairs that it takes at least: with no more than a form has numbers, some forms are invariant by chance."""
    return dim * (dim + 3) // 2


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
    d = x.shape[1]
    if len(x) < fewest_pairs(d):
        return Frame([], [])
    # On white samples conjugate gradients take some dozens of steps, whatever the distortion lies behind.
    both = torch.cat([x, x_prime])
    spread, axes = torch.linalg.eigh(both.T @ both / len(both))
    if not float(spread[-1]) < SINGULAR * float(spread[0]):
        return Frame([], [])
    white = axes / spread.sqrt()
    x, x_prime = x @ white, x_prime @ white
    positive = nearest_invariant(torch.eye(d).to(x), x, x_prime)
    root, failed = torch.linalg.cholesky_ex(positive)
    if int(failed) or _left(positive, x, x_prime) > INEXACT:
        return Frame([], [])

    form = torch.randn(d, d, generator=generator, dtype=torch.float64).to(x.device)
    half = torch.linalg.solve_triangular(root, nearest_invariant((form + form.T) / 2, x, x_prime), upper=False)
    values, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.T, upper=False))
    apart = (values[1:] - values[:-1]) > PAIRED * (values[-1] - values[0])
    ends = [0, *(apart.nonzero()[:, 0] + 1).tolist(), len(values)]
    spans = list(pairwise(ends))
    parts = [root @ vectors[:, start:end] for start, end in spans]
    singles = [index for index, (start, end) in enumerate(spans) if end - start == 1]
    alike = [[singles[place] for place in group] for group in _alike(parts, singles, x, x_prime)]
    return Frame([white @ part for part in parts], alike)


def _alike(parts: list[Tensor], singles: list[int], x: Tensor, x_prime: Tensor) -> list[list[int]]:
    """Sets of single directions whose products with each other are invariant too: they turn by the same sign."""
    if len(singles) < 2:
        return []
    directions = torch.cat([parts[index] for index in singles], dim=1)
    values, others = x[:TESTED] @ directions, x_prime[:TESTED] @ directions
    products, changed = (part[:, :, None] * part[:, None] for part in (values, others))
    left = (products - changed).square().mean(0) / products.square().mean(0).clamp(min=1e-300)
    count, labels = scipy.sparse.csgraph.connected_components((left < COUPLED).cpu().numpy(), directed=False)
    groups = [[place for place, label in enumerate(labels) if label == component] for component in range(count)]
    return [group for group in groups if len(group) > 1]


def _left(form: Tensor, x: Tensor, x_prime: Tensor) -> float:
    """Share of the variance of a form that lies within pairs."""
    values, others = ((part @ form * part).sum(1) for part in (x, x_prime))
    return float((values - others).square().mean() / (2 * values.var()).clamp(min=1e-300))
