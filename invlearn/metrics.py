"""Every metric of a trained encoder, as a plain function of tensors.

Legend: R replicas, N examples. Each function returns one number per replica, ``(R,)``, and NaN where the metric is
0/0 or has nothing to measure; files and tables show that as missing.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor

__all__ = [
    "auroc",
    "closeness",
    "code_distance",
    "collapsed",
    "distance_spearman",
    "invariance_loss",
    "invariance_ratio",
    "mean_over",
    "mean_squared_error",
    "recall_at_1",
]


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared difference over all but the first dimension: ``(R, N, C)`` to ``(R,)``."""
    return (prediction - target).square().flatten(1).mean(1)


def code_distance(z: Tensor, z_prime: Tensor) -> Tensor:
    """Distance d̂ = ‖z - z'‖ of invariant codes, ``(R, N, C)`` to ``(R, N)`` (Section 5)."""
    return torch.linalg.vector_norm(z - z_prime, dim=-1)


def invariance_loss(
    distance_sq: Tensor, code_distance_sq: Tensor, delta: Tensor | float, alpha: Tensor | float
) -> Tensor:
    r"""The invariance term of each pair.

    .. math:: \ell = \left( \frac{1}{δ + α d^2} - \frac{1}{δ + α \hat d^2} \right)^2

    Args:
        distance_sq: Squared true distances d*², ``(R, N)``.
        code_distance_sq: Squared code distances d̂², ``(R, N)``.
        delta: δ > 0.
        alpha: α > 0, a number or ``(R, 1)``.

    Returns:
        ℓ, ``(R, N)``, between 0 and 1/δ².

    Reference:
        Zhang & Arodz, equation (2).
    """
    return (closeness(distance_sq, delta, alpha) - closeness(code_distance_sq, delta, alpha)).square()


def closeness(distance_sq: Tensor, delta: Tensor | float, alpha: Tensor | float) -> Tensor:
    """1/(δ + α d²) of squared distances d², ``(R, N)``; α is a number or ``(R, 1)``.

    Its mean over training pairs is the closeness of the single d̂ that has the least mean ℓ: what an encoder must beat.
    """
    return 1 / (delta + alpha * distance_sq)


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` holds, both ``(R, N)``, to ``(R,)``; NaN where it holds nowhere."""
    return torch.where(mask, values, 0).sum(-1) / mask.sum(-1)


def invariance_ratio(code_distances: Tensor, same: Tensor) -> Tensor:
    """Mean d̂² of same pairs over mean d̂² of different pairs, ``(R,)``: 0 is ideal, 1 is no invariance.

    Args:
        code_distances: d̂, ``(R, N)``.
        same: Whether a pair is one entity, ``(R, N)``.
    """
    squared = code_distances.square()
    return mean_over(squared, same) / mean_over(squared, ~same)


def collapsed(code_distances: Tensor, distances: Tensor) -> Tensor:
    """Whether different entities share one code: their mean d̂ is below 1% of their mean d*, ``(R,)``."""
    different = distances > 0
    return mean_over(code_distances, different) < 0.01 * mean_over(distances, different)


def auroc(code_distances: Tensor, same: Tensor) -> Tensor:
    """Probability that a same pair is closer than a different pair, ties counting half, ``(R,)``."""

    def one(distance: np.ndarray, is_same: np.ndarray) -> float:
        n_same, n_different = int(is_same.sum()), int((~is_same).sum())
        if n_same == 0 or n_different == 0:
            return float("nan")
        ranks = stats.rankdata(distance)  # of the Mann-Whitney statistic
        return float((ranks[~is_same].sum() - n_different * (n_different + 1) / 2) / (n_same * n_different))

    return _per_replica(one, code_distances, same)


def distance_spearman(code_distances: Tensor, distances: Tensor) -> Tensor:
    """Rank correlation of d̂ with d* over different pairs, ``(R,)``; NaN where either is constant."""

    def one(code: np.ndarray, true: np.ndarray) -> float:
        code, true = code[true > 0], true[true > 0]
        if len(true) < 2 or np.ptp(code) == 0 or np.ptp(true) == 0:
            return float("nan")
        return float(np.corrcoef(stats.rankdata(code), stats.rankdata(true))[0, 1])

    return _per_replica(one, code_distances, distances)


def recall_at_1(queries: Tensor, gallery: Tensor) -> Tensor:
    """Share of queries whose nearest code in the gallery is their own entity's, ``(R,)``.

    Row i of both is the same entity under different transformations. A tie with another entity counts as a miss, so
    that a collapsed code scores 0.

    Args:
        queries: Invariant codes, ``(R, N, C)``.
        gallery: Invariant codes, ``(R, N, C)``.
    """
    queries, gallery = queries.double(), gallery.double()
    n = queries.shape[1]
    if n < 2:
        return torch.full((len(queries),), float("nan"), dtype=torch.float64)
    distances = torch.cdist(queries, gallery, compute_mode="donot_use_mm_for_euclid_dist")
    own = distances.diagonal(dim1=1, dim2=2)
    others = distances + torch.diag(torch.full((n,), torch.inf, dtype=distances.dtype, device=distances.device))
    return (own < others.min(dim=2).values).double().mean(1)


def _per_replica(function, *tensors: Tensor) -> Tensor:
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    return torch.tensor([function(*rows) for rows in zip(*arrays, strict=True)], dtype=torch.float64)
