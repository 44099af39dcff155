"""Whether a search finds the entity of a query."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.data.distances import EXACT

__all__ = ["hits_among", "hits_at_1"]


def hits_at_1(queries: Tensor, gallery: Tensor) -> Tensor:
    """Whether the nearest code in the gallery is that of a query's own entity, ``(R, N)``.

    Row i of both is the same entity under different transformations. A tie with another entity counts as a miss, so
    that a collapsed code scores 0.

    Args:
        queries: Invariant codes, ``(R, N, C)``.
        gallery: Invariant codes, ``(R, N, C)``.
    """

    def of_one(queries: Tensor, gallery: Tensor) -> Tensor:
        return hits_among(torch.cdist(queries.double(), gallery.double(), compute_mode=EXACT)[None])

    return torch.cat([of_one(*one) for one in zip(queries, gallery, strict=True)])


def hits_among(distances: Tensor) -> Tensor:
    """The same, ``(R, N)``, from distances of each query to each sample of the gallery, ``(R, N, N)``."""
    own = distances.diagonal(dim1=1, dim2=2)
    others = torch.diagonal_scatter(distances, torch.full_like(own, torch.inf), dim1=1, dim2=2)
    return own < others.min(dim=2).values
