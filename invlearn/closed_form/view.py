"""Normalised samples in their principal components, and their lifted moments."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from invlearn.closed_form.candidates import RANKS, ROWS_PER_FEATURE, Candidate, flags_of
from invlearn.closed_form.lift import Monomials
from invlearn.closed_form.moments import CHUNK
from invlearn.closed_form.network import Normalize
from invlearn.closed_form.settings import Normalization
from invlearn.data import Pairs
from invlearn.data.seeding import seeded_generator

__all__ = ["CONSTANT", "View", "normalized"]

WIDE = 4_096
"""Features above which principal components come from a random projection."""

CONSTANT = 1e-12
"""Share of the largest variance below which a principal component is constant."""


def normalized(x: Tensor, normalization: Normalization) -> Tensor:
    """Samples ``(n, d)`` without what a normalisation removes."""
    if normalization == "none":
        return x
    flags = (x.new_tensor([flag]) for flag in flags_of(normalization))
    return Normalize(*flags).requires_grad_(False)(x[None])[0]


class View:
    """Training samples and validation pairs, normalised and projected onto principal components.

    Args:
        normalization: What is removed of each sample.
        x: Training samples, ``(n, d)``; those of an entity lie next to each other.
        entity: Their entities, ``(n,)``.
        valid: Validation pairs.
    """

    def __init__(self, normalization: Normalization, x: Tensor, entity: Tensor, valid: Pairs):
        self.normalization: Normalization = normalization
        self.entity = entity
        x = normalized(x, normalization)
        self.mean = x.mean(0)
        self.axes = principal_axes(x - self.mean)
        """Principal components, scaled to variance 1, the largest first, ``(d, r)``."""
        self.x = (x - self.mean) @ self.axes
        self.valid = [(normalized(part, normalization) - self.mean) @ self.axes for part in valid[:2]]

    def candidate(self, degree: int, rank: int, ridge: float, components: int, score: float) -> Candidate:
        """A row of what was tried."""
        return Candidate(degree, rank, *flags_of(self.normalization), ridge, components, score)

    def lifted(self, lift: Monomials, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Lifted training samples and their entities, in chunks of whole entities.

        Where there are more samples than tell anything, they are a random part.
        """
        x, entity = self.x[:, : lift.rank], self.entity
        enough = ROWS_PER_FEATURE * lift.features
        _, index, counts = torch.unique_consecutive(entity, return_inverse=True, return_counts=True)
        if len(x) > enough:
            order = torch.randperm(len(counts), generator=seeded_generator(seed, "moments")).to(x.device)
            kept = torch.zeros_like(counts, dtype=torch.bool)
            kept[order[counts[order].cumsum(0) - counts[order] < enough]] = True
            x, entity, counts = x[kept[index]], entity[kept[index]], counts[kept]
        start, ends = 0, counts.cumsum(0).tolist()
        for end, following in zip(ends, [*ends[1:], None], strict=True):
            if following is None or (following - start) * lift.features > CHUNK:
                yield lift(x[start:end]), entity[start:end]
                start = end

    def changes(self, lift: Monomials) -> Tensor:
        """φ(x) - φ(x') of the validation pairs, ``(n, m)``."""
        x, x_prime = (part[:, : lift.rank] for part in self.valid)
        return lift(x) - lift(x_prime)


def principal_axes(x: Tensor) -> Tensor:
    """Principal components of centred samples ``(n, d)``, scaled to variance 1, the largest first, ``(d, r)``."""
    if x.shape[1] <= WIDE:
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        variances, axes = variances.flip(0), axes.flip(1)
    else:
        _, values, axes = torch.svd_lowrank(x, q=RANKS[-1] + 16, niter=4)
        variances = values.square() / len(x)
    kept = variances > CONSTANT * variances[0].clamp(min=1e-300)
    return axes[:, kept] / variances[kept].sqrt()
