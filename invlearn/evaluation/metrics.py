"""Every metric of a trained encoder, as a plain function of tensors.

Legend: R replicas, N examples. Each function returns one number per replica, ``(R,)``, and NaN where the metric is
0/0 or has nothing to measure; files and tables show that as missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
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
    "operating_points",
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

    def one(distance_N: Tensor, same_N: Tensor) -> Tensor:
        n_same, n_different = same_N.sum(), (~same_N).sum()
        ranks = _ranks(distance_N)[~same_N].sum()  # the Mann-Whitney statistic, but for a constant
        return (ranks - n_different * (n_different + 1) / 2) / (n_same * n_different)

    return torch.stack([one(*rows) for rows in zip(code_distances.detach(), same, strict=True)])


def operating_points(code_distances: Tensor, same: Tensor, rates: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Code distances below which pairs count as the same entity, so that few different ones do.

    Args:
        code_distances: d̂, ``(R, N)``.
        same: Whether a pair is one entity, ``(R, N)``, both kinds in each replica.
        rates: Shares of different pairs, 0 to 1, that may count as the same: false-positive rates.

    Returns:
        For each rate the largest such distance, and the share of same pairs below it, the true-positive rate:
        ``(R, len(rates))`` both.
    """
    thresholds, shares = [], []
    for distance_N, same_N in zip(code_distances, same, strict=True):
        different = distance_N[~same_N].sort().values
        places = [min(int(rate * len(different)), len(different) - 1) for rate in rates]
        thresholds.append(different[places])
        shares.append((distance_N[same_N][:, None] < thresholds[-1]).double().mean(0))
    return torch.stack(thresholds), torch.stack(shares)


def distance_spearman(code_distances: Tensor, distances: Tensor) -> Tensor:
    """Rank correlation of d̂ with d* over different pairs, ``(R,)``; NaN where either is constant."""

    def one(code_N: Tensor, true_N: Tensor) -> Tensor:
        ranks = [_ranks(values[true_N > 0]) for values in (code_N, true_N)]
        code, true = (rank - rank.mean() for rank in ranks)
        return (code * true).sum() / (code.square().sum() * true.square().sum()).sqrt()

    return torch.stack([one(*rows) for rows in zip(code_distances.detach(), distances, strict=True)])


def _ranks(values_N: Tensor) -> Tensor:
    """Ranks from 1 on, in float64; equal values share the mean of theirs."""
    _, place, counts = torch.unique(values_N, return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts.double() - 1) / 2)[place]


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
