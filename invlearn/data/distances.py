"""Distances between samples."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["CLOSEST", "EXACT", "observed_distance"]

EXACT = "donot_use_mm_for_euclid_dist"
"""A mode of ``torch.cdist``; its faster formula is inaccurate for small distances."""

CLOSEST = 1e-6
"""Least d* of different entities, because 0 means the same entity."""


def observed_distance(x: Tensor, x_prime: Tensor) -> Tensor:
    """Smallest distance between samples of two entities.

    Args:
        x: Samples of one entity, ``(*, k, d)``.
        x_prime: Samples of the other, ``(*, k', d)``.

    Returns:
        ``(*,)``, above 0 even for equal samples, because 0 would mean the same entity.
    """
    distances = torch.cdist(x, x_prime, compute_mode=EXACT)
    return distances.flatten(-2).amin(-1).clamp(min=CLOSEST)
