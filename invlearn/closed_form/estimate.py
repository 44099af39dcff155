"""Estimate planes that the distortion rotates, for noisy data without exactly invariant quadratic forms."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["estimate_planes", "shares_within"]

FORMS = 60
"""Number of random combinations of forms whose eigenvectors are tried."""

JUDGED = 5_000
"""Number of samples to rank planes by invariance."""

OVERLAP = 0.5
"""Largest share of a plane that may lie in a plane chosen before."""


def estimate_planes(forms: Tensor, x: Tensor, entity: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Planes, and single directions, in which the length of samples varies least within entities.

    A random combination of invariant forms has equal eigenvalues on each plane. Noise separates them, so a single
    combination does not show which neighbours are a pair. Many combinations are drawn, and the planes with the most
    invariant lengths are chosen, the best first; a plane that overlaps a better one is left out.

    Args:
        forms: Symmetric matrices that are nearly invariant, ``(k, r, r)``.
        x: Samples, ``(n, r)``; those of an entity are neighbours.
        entity: Their entities, ``(n,)``.
        generator: The combinations are drawn from it.

    Returns:
        Orthonormal vectors, ``(r, 1)`` or ``(r, 2)`` each; at most r of them.
    """
    factors = torch.randn(FORMS, len(forms), generator=generator, dtype=torch.float64).to(forms.device)
    values, vectors = torch.linalg.eigh(torch.einsum("fk,kij->fij", factors, forms))
    pairs = [_paired(one) for one in values.tolist()]
    planes = [basis[:, list(pair)] for of, basis in zip(pairs, vectors, strict=True) for pair in of]
    whole = x.new_zeros(len(planes), x.shape[1], 2)
    for into, plane in zip(whole, planes, strict=True):
        into[:, : plane.shape[1]] = plane
    x, entity = x[:JUDGED], entity[:JUDGED]
    lengths = torch.stack([(x @ whole[..., part].T).square() for part in (0, 1)]).sum(0).sqrt()
    shares = shares_within(lengths, entity)
    widths = torch.tensor([plane.shape[1] for plane in planes], device=x.device)
    order, free = shares.argsort().tolist(), torch.ones(len(planes), dtype=torch.bool, device=x.device)
    taken: list[Tensor] = []
    for index in order:
        if free[index] and len(taken) < x.shape[1]:
            taken.append(planes[index])
            overlap = (whole.mT @ planes[index]).square().sum((1, 2)) / widths.clamp(max=widths[index])
            free &= overlap < OVERLAP
    return taken


def shares_within(values: Tensor, entity: Tensor) -> Tensor:
    """Share of the variance of values ``(n, m)`` that lies within entities, ``(m,)``."""
    _, index, counts = torch.unique_consecutive(entity, return_inverse=True, return_counts=True)
    means = values.new_zeros(len(counts), values.shape[1]).index_add_(0, index, values) / counts[:, None]
    within = (values - means[index]).square().sum(0) / max(1, len(values) - len(counts))
    return within / values.var(0, correction=0).clamp(min=1e-300)


def _paired(values: list[float]) -> list[tuple[int, ...]]:
    """Pairs of neighbouring eigenvalues, the nearest first, and the unpaired ones."""
    gaps = [(after - before, index) for index, (before, after) in enumerate(pairwise(values))]
    mean = (values[-1] - values[0]) / max(1, len(gaps))
    left = set(range(len(values)))
    pairs: list[tuple[int, ...]] = []
    for gap, index in sorted(gaps):
        if gap <= mean and {index, index + 1} <= left:  # planes lie twice as far apart, on average
            left -= {index, index + 1}
            pairs.append((index, index + 1))
    return pairs + [(index,) for index in sorted(left)]
