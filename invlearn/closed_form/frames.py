"""Frames: the planes that a compact linear action rotates, from pairs alone and without large matrices."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import scipy
import torch
from torch import Tensor

__all__ = ["Frame", "fewest_pairs", "find_frame", "frame_pairs", "nearest_invariant"]

REFINEMENTS = 100
"""Maximal number of corrections; four reach rounding. Each must halve the squared residual; on noise none does."""

STEPS = 60
"""Maximal number of conjugate gradient steps per correction; thirty suffice for white, clean samples."""

ROWS = 8_192
"""Pairs processed at a time, so that intermediate results stay in the processor's cache."""

CONVERGED = 1e-15
"""Share of its initial norm to which the gradient must fall."""

CORRECTED = 1e-6
"""The same for one correction, which is computed in single precision."""

SINGULAR = 1e10
"""Condition number of the samples' second moments above which they count as singular."""

TESTED = 1_000
"""Number of pairs that decide whether a product is invariant."""

COUPLED = 1e-9
"""Mean squared change of a product of two directions, relative to its square, below which it is invariant."""

INEXACT = 1e-12
"""Share of a form's variance within pairs above which the form is not invariant."""

PAIRED = 1e-8
"""Difference of two eigenvalues, relative to the range of all, below which they are equal."""


def nearest_invariant(form: Tensor, x: Tensor, x_prime: Tensor) -> Tensor:
    """The quadratic form nearest to a given one that is equal for both samples of every pair.

    Args:
        form: A symmetric matrix, ``(d, d)``.
        x: Samples ``(n, d)``.
        x_prime: Samples of the same entities, ``(n, d)``.

    Returns:
        A with x'ᵀAx' = xᵀAx for every pair, or as nearly as possible. Conjugate gradients on the least-squares problem
        stay in the span of the constraints, so their solution is the one nearest to the start. It is nearest in single
        precision, while x'ᵀAx' = xᵀAx holds in double precision.
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

    Products in single precision take half the time, and the caller corrects rounding errors.
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
    """The difference of a form within each pair, xᵀAx - x'ᵀAx' = (x - x')ᵀA(x + x'), by a single product."""
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
    """Vectors that span each subspace, ``(d, w)``."""
    alike: list[list[int]]
    """Sets of indices of single directions that stay invariant when rotated into each other."""


def frame_pairs(dim: int) -> int:
    """Number of pairs to find a frame of d features: somewhat more than twice the parameters of a symmetric form."""
    return int(1.2 * dim**2) + 2_000


def fewest_pairs(dim: int) -> int:
    """Least number of pairs: with fewer than a form has parameters, some forms are invariant by chance."""
    return dim * (dim + 3) // 2


def find_frame(x: Tensor, x_prime: Tensor, generator: torch.Generator) -> Frame:
    """The smallest invariant subspaces of a compact linear action.

    For a random invariant form A and a positive definite one P, P⁻¹A commutes with every distortion, so its eigenspaces
    are invariant: planes and single directions if the action is abelian.

    Args:
        x: Samples ``(n, d)``.
        x_prime: Samples of the same entities.
        generator: Source of A.

    Returns:
        The frame; without parts if no positive definite form is found.

    Reference:
        Cohen and Welling, "Learning the irreducible representations of commutative Lie groups" (2014).
    """
    d = x.shape[1]
    if len(x) < fewest_pairs(d):
        return Frame([], [])
    # On white samples conjugate gradients take a few dozen steps, whatever the mixing.
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
    """Sets of single directions whose products with each other are invariant too: their signs change together."""
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
