"""The inputs of a loss: examples of one kind, in one draw or in a stack of replicas.

Leading dimensions ``*`` are ``(n,)`` for one draw and ``(R, n)`` or ``(1, n)`` for a stack; x always comes first.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Batch", "EntityBatch", "Pairs", "Spectra", "Targets"]


class Pairs(NamedTuple):
    """Pairs of samples with their true distances (Section 5's triples)."""

    x: Tensor
    """First samples, ``(*, d)``."""
    x_prime: Tensor
    """Second samples, ``(*, d)``."""
    distance: Tensor
    """True distance d* >= 0 of each pair, ``(*,)``; exactly 0 if both are the same entity."""

    def samples(self) -> Tensor:
        """All samples, ``(R, 2n, d)``."""
        return torch.cat([self.x, self.x_prime], dim=1)

    def arrange(self, values: Tensor) -> Tensor:
        """Results for ``samples()``, ``(R, 2n, C)``, as ``(R, n, 2, C)``."""
        return torch.stack(values.chunk(2, dim=1), dim=2)


class EntityBatch(NamedTuple):
    """Entities with k samples each; a batch contains all pairs of their samples."""

    x: Tensor
    """Samples, ``(*, k, d)``."""
    entity: Tensor
    """The entity's number, ``(*,)``: a batch may hold an entity twice."""
    reference: Tensor
    """Reference points of each entity, ``(*, q, D)``: d* is the smallest distance between those of two entities.

    D = 0 means that d* is 1 for all different entities."""

    def samples(self) -> Tensor:
        """All samples, ``(R, n k, d)``."""
        return self.x.flatten(1, 2)

    def arrange(self, values: Tensor) -> Tensor:
        """Results for ``samples()``, ``(R, n k, C)``, as ``(R, n, k, C)``."""
        return values.unflatten(1, self.x.shape[1:3])

    def same_pairs(self) -> Tensor:
        """Whether two samples are of one entity, ``(R, n k, n k)``; false on the diagonal."""
        same = ~self.different_pairs()
        same.diagonal(dim1=1, dim2=2).zero_()
        return same

    def different_pairs(self) -> Tensor:
        """Whether two samples are of two entities, ``(R, n k, n k)``."""
        labels = self.entity.repeat_interleave(self.x.shape[2], dim=1)
        return labels[:, :, None] != labels[:, None, :]


class Targets(NamedTuple):
    """Signals with their known code (Section 3)."""

    x: Tensor
    """Signals, ``(*, d)``."""
    code: Tensor
    """z*, ``(*, code)``."""

    def samples(self) -> Tensor:
        """The signals, ``(R, n, d)``."""
        return self.x

    def arrange(self, values: Tensor) -> Tensor:
        """Results for ``samples()``, ``(R, n, C)``, as ``(R, n, 1, C)``."""
        return values[:, :, None]


Batch = Pairs | EntityBatch | Targets


class Spectra(NamedTuple):
    """Signals with the spectrum that a supervised code is computed from (Section 3)."""

    x: Tensor
    """Signals, ``(*, d)``."""
    spectrum: Tensor
    """Complex spectra, ``(*, d)``, whose modulus is invariant."""
