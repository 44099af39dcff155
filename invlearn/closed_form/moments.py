"""First and second moments of lifted samples, in one pass and in chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "moments"]

CHUNK = 2**22
"""Maximal size of the lifted samples in memory, in numbers."""


@dataclass(frozen=True)
class Moments:
    """Sums over samples, in float64; sums of parts of the data can be added.

    Legend: m features.
    """

    count: float
    """Number of samples."""
    total: Tensor
    """Sum of the samples, ``(m,)``."""
    freedom: float
    """Number of samples minus entities: degrees of freedom of the scatter within entities."""
    within: Tensor
    """Sum of (φ - mean of its entity)(φ - mean of its entity)ᵀ, ``(m, m)``."""
    between: Tensor
    """Sum of (mean of its entity)(mean of its entity)ᵀ, ``(m, m)``."""

    @property
    def mean(self) -> Tensor:
        """Mean of all samples, ``(m,)``."""
        return self.total / self.count

    def covariances(self) -> tuple[Tensor, Tensor]:
        """Covariance within entities and of all samples, ``(m, m)`` each; zeros if no entity has two samples."""
        covariance = (self.within + self.between) / self.count
        covariance -= torch.outer(self.mean, self.mean)
        return self.within / max(self.freedom, 1.0), covariance


def moments(chunks: Iterable[tuple[Tensor, Tensor]], features: int, device: torch.device | str = "cpu") -> Moments:
    """Moments of lifted samples.

    Args:
        chunks: Lifted samples ``(n, m)`` in float64 and the number of each one's entity ``(n,)``, in ascending order;
            all samples of an entity are in one chunk.
        features: m.
        device: Device of the chunks.
    """
    new = {"dtype": torch.float64, "device": device}
    count, freedom = 0, 0
    total, within, between = (torch.zeros(*shape, **new) for shape in ((features,), (features,) * 2, (features,) * 2))
    for phi, entity in chunks:
        _, index, sizes = torch.unique_consecutive(entity, return_inverse=True, return_counts=True)
        count, freedom = count + len(phi), freedom + len(phi) - len(sizes)
        sums = torch.zeros(len(sizes), features, **new).index_add_(0, index, phi)
        total += sums.sum(0)
        means = sums.div_(sizes[:, None])
        several = sizes[index] > 1
        changes = phi - means[index] if bool(several.all()) else phi[several] - means[index[several]]
        del phi  # before the next chunk is made
        add_square(within, changes)
        add_square(between, means * sizes[:, None].double().sqrt())
        del changes, sums, means
    return Moments(count, total, freedom, within, between)


def add_square(into: Tensor, phi: Tensor) -> None:
    """Add φᵀ φ of rows ``(n, m)`` in place; on the CPU numpy computes half of the symmetric product only."""
    if phi.is_cpu:
        rows = phi.numpy()
        into += torch.from_numpy(rows.T @ rows)
    else:
        into.addmm_(phi.T, phi)
