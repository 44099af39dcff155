"""Which codes agree with the other codes of their entity."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invlearn.data.distances import EXACT

__all__ = ["distance_to_entity", "is_far"]

FAR = 2.0
"""Multiple of the median distance beyond which a sample does not agree."""

BLOCK = 8_192
"""Distances computed at a time, for whole entities if these are small."""

LARGE = 2**22
"""Maximal number of distances computed at a time in a large entity."""


def distance_to_entity(
    codes: Tensor, entity: Tensor, apart: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Tensor:
    """Mean distance of each code to the nearest half of its entity's other codes, ``(n,)``; NaN if it is alone.

    Args:
        codes: ``(n, C)``.
        entity: Number of the entity of each, in ascending order, ``(n,)``.
        apart: Distances ``(N,)`` of pairs of codes, given by their indices ``(N,)``; by default Euclidean.
    """
    _, counts = torch.unique_consecutive(entity, return_counts=True)
    starts = counts.cumsum(0) - counts
    distance = codes.new_full((len(codes),), torch.nan)
    for size in counts[counts > 1].unique().tolist():
        rows = starts[counts == size][:, None] + torch.arange(size, device=starts.device)
        for part in rows.split(max(1, BLOCK // size**2)):
            z = codes[part]
            for own in torch.arange(size, device=starts.device).split(max(1, LARGE // size)):
                if apart is None:
                    others = torch.cdist(z[:, own], z, compute_mode=EXACT)
                else:
                    ends = torch.broadcast_tensors(part[:, own, None], part[:, None])
                    others = apart(*(end.flatten() for end in ends)).view(ends[0].shape)
                nearest = others.sort(-1).values[..., 1 : 1 + size // 2]  # the first is the sample itself
                distance[part[:, own]] = nearest.mean(-1)
    return distance


def is_far(distance: Tensor) -> Tensor:
    """Whether each distance to an entity is more than twice their median, ``(n,)``; False for NaN."""
    return distance > FAR * distance.nanmedian()
