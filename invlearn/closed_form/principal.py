"""Principal components of samples, of any number of features."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.data.seeding import derived_seed

__all__ = ["CONSTANT", "principal_components"]

WIDE = 4_096
"""Features above which principal components come from a random projection."""

SPARE = 16
"""Dimensions of that projection beyond those that are wanted."""

CONSTANT = 1e-12
"""Share of the largest variance below which a principal component is constant."""


def principal_components(x: Tensor, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Principal components of centred samples, those of the largest variance first, and their variances.

    Args:
        x: ``(n, d)``.
        most: How many are wanted at least, where they take time.
        seed: Of a random projection, which there is beyond 4,096 features and as many samples (Halko et al. 2011).

    Returns:
        Orthonormal columns ``(d, k)`` and variances above 0, ``(k,)``.
    """
    if len(x) < x.shape[1]:
        variances, inner = torch.linalg.eigh(x @ x.T / len(x))
        variances = variances.flip(0)
        axes = x.T @ inner.flip(1) / (len(x) * variances.clamp(min=1e-300)).sqrt()
    elif x.shape[1] <= WIDE:
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        variances, axes = variances.flip(0), axes.flip(1)
    else:
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(derived_seed(seed, "components"))
            _, values, axes = torch.svd_lowrank(x, q=min(most + SPARE, x.shape[1]), niter=4)
        variances = values.square() / len(x)
    kept = variances > CONSTANT * variances[0].clamp(min=1e-300)
    return axes[:, kept], variances[kept]
