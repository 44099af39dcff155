"""First and second moments of lifted samples, in one pass and in chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "moments"]

CHUNK = 2**22
"""Numbers of lifted samples that are held at a time."""


@dataclass(frozen=True)
class Moments:
    """Sums over samples, in float64; those of two parts of the data add up.

    Legend: m features.
    """

    count: float
    """Samples."""
    total: Tensor
    """Sum of them, ``(m,)``."""
    products: Tensor
    """Sum of φ φᵀ, ``(m, m)``."""
    freedom: float
    """Samples less entities: degrees of freedom of the scatter within."""
    within: Tensor
    """Sum of (φ - mean of its entity)(φ - mean of its entity)ᵀ, ``(m, m)``."""

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.products + other.products,
            self.freedom + other.freedom,
            self.within + other.within,
        )

    @property
    def mean(self) -> Tensor:
        """Mean of all samples, ``(m,)``."""
        return self.total / self.count

    def covariances(self) -> tuple[Tensor, Tensor]:
        """Covariance within entities and in all, ``(m, m)`` each; zeros where no entity has two samples."""
        covariance = self.products / self.count
        covariance -= torch.outer(self.mean, self.mean)
        return self.within / max(self.freedom, 1.0), covariance


def moments(chunks: Iterable[tuple[Tensor, Tensor]], features: int, device: torch.device | str = "cpu") -> Moments:
    """Moments of lifted samples.

    Args:
        chunks: Lifted samples ``(n, m)`` in float64 and the number of each one's entity ``(n,)``, in ascending order;
            all samples of an entity are in one chunk.
        features: m.
        device: Where the chunks lie.
    """
    new = {"dtype": torch.float64, "device": device}
    count, freedom = 0, 0
    total, products, within = (torch.zeros(*shape, **new) for shape in ((features,), (features,) * 2, (features,) * 2))
    for phi, entity in chunks:
        _, inverse, counts = torch.unique_consecutive(entity, return_inverse=True, return_counts=True)
        count += len(phi)
        total += phi.sum(0)
        add_square(products, phi)
        several = counts[inverse] > 1
        repeated, of = phi[several], inverse[several]
        means = torch.zeros(len(counts), features, **new).index_add_(0, of, repeated) / counts[:, None]
        freedom += int(several.sum()) - int((counts > 1).sum())
        repeated -= means[of]
        add_square(within, repeated)
        del phi, repeated  # before the next chunk is made
    return Moments(count, total, products, freedom, within)


def add_square(into: Tensor, phi: Tensor) -> None:
    """Add φᵀ φ of rows ``(n, m)`` in place; on the CPU numpy computes half of the symmetric product only."""
    if phi.is_cpu:
        rows = phi.numpy()
        into += torch.from_numpy(rows.T @ rows)
    else:
        into.addmm_(phi.T, phi)
