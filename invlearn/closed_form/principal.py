"""Principal components of samples with any number of features."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.data.seeding import derived_seed

__all__ = ["NO_VARIANCE", "principal_components"]

WIDE = 4_096
"""Numbers of features and of samples above which principal components come from a random projection."""

SPARE = 16
"""Additional dimensions of that projection."""

NO_VARIANCE = 1e-12
"""Share of the largest variance below which a principal component counts as constant."""


def principal_components(x: Tensor, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Principal components of centred samples, the largest variance first, and their variances.

    Args:
        x: ``(n, d)``.
        most: Number of components needed; more are returned if they are computed anyway.
        seed: Seed of a random projection, used above 4,096 features and samples (Halko et al. 2011).

    Returns:
        Orthonormal columns ``(d, k)`` and variances above 0, ``(k,)``.
    """
    varies = (x != 0).any(0)
    if 0 < 4 * int(varies.sum()) <= len(varies):  # most of the work would be for nothing
        some, variances = principal_components(x[:, varies], most, seed)
        axes = x.new_zeros(x.shape[1], some.shape[1])
        axes[varies] = some
        return axes, variances
    if min(x.shape) > WIDE:
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(derived_seed(seed, "components"))
            _, values, axes = torch.svd_lowrank(x, q=min(most + SPARE, *x.shape), niter=4)
        variances, axes = values[:most].square() / len(x), axes[:, :most]
    elif len(x) < x.shape[1]:
        variances, inner = torch.linalg.eigh(x @ x.T / len(x))
        variances = variances.flip(0)
        axes = x.T @ inner.flip(1) / (len(x) * variances.clamp(min=1e-300)).sqrt()
    else:
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        variances, axes = variances.flip(0), axes.flip(1)
    kept = variances > NO_VARIANCE * variances[0].clamp(min=1e-300)
    return axes[:, kept], variances[kept]
