"""All pairs of the samples in a batch of entities, instead of pairs drawn one by one (ours).

Legend: R replicas, N groups, k samples of each, S = N·k samples, C code, D reference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.evaluation import metrics

__all__ = ["group_distances", "invariance_of_groups", "pair_targets", "pairs_of_groups", "squared_distances"]

EXACT = "donot_use_mm_for_euclid_dist"
"""The faster formula for distances leaves noise where they are small."""


def group_distances(entity: Tensor, reference: Tensor) -> Tensor:
    """d* between all groups of a batch, ``(R, N, N)``: exactly 0 where both are of one entity.

    Args:
        entity: The entity's number, ``(R, N)``.
        reference: ``(R, N, q, D)``, see ``invlearn.data.Groups``.
    """
    different = entity[:, :, None] != entity[:, None, :]
    q = reference.shape[2]
    if reference.shape[-1] == 0:
        return different.to(reference.dtype)
    points = reference.flatten(1, 2)
    apart = torch.cdist(points, points, compute_mode=EXACT).unflatten(2, (-1, q)).unflatten(1, (-1, q)).amin((2, 4))
    return torch.where(different, apart, 0)


def pair_weights(same: Tensor, k: int, dtype: torch.dtype) -> Tensor:
    """What each pair of samples weighs, ``(R, S, S)``: half for all same pairs together, half for all different ones.

    Args:
        same: Whether two groups are of one entity, ``(R, N, N)``.
        k: Samples of each group.
        dtype: Of the weights.
    """
    same = same.repeat_interleave(k, 1).repeat_interleave(k, 2)
    with_another = same.to(dtype)
    with_another.diagonal(dim1=1, dim2=2).zero_()  # a sample and itself are no pair
    counts = with_another.sum((1, 2), keepdim=True)
    others = (~same).to(dtype).sum((1, 2), keepdim=True)
    return torch.where(same, with_another / (2 * counts), 0.5 / others)


def pair_targets(entity: Tensor, reference: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """What each pair of samples of a batch weighs, and its squared d*, ``(R, S, S)`` both.

    Args:
        entity: The entity's number, ``(R, N)``.
        reference: ``(R, N, q, D)``.
        k: Samples of each group.
    """
    distance = group_distances(entity, reference)
    weights = pair_weights(distance == 0, k, distance.dtype)
    return weights, distance.square().repeat_interleave(k, 1).repeat_interleave(k, 2)


def squared_distances(z: Tensor) -> Tensor:
    """Squared distances between codes, ``(R, S, C)`` to ``(R, S, S)``; they lose digits where codes are far from 0."""
    squares = z.square().sum(-1)
    return torch.baddbmm(squares[:, :, None] + squares[:, None, :], z, z.mT, alpha=-2).clamp(min=0)


def invariance_of_groups(z_inv: Tensor, entity: Tensor, reference: Tensor, delta: float, alpha: Tensor) -> Tensor:
    """Mean of equation (2) over all pairs of samples of a batch, same and different ones half each, ``(R,)``.

    Args:
        z_inv: Invariant codes, ``(R, N, k, C)``.
        entity: The entity's number, ``(R, N)``.
        reference: ``(R, N, q, D)``.
        delta: δ.
        alpha: α, ``(R, 1)``.
    """
    weights, distance_sq = pair_targets(entity, reference, z_inv.shape[2])
    z = z_inv.flatten(1, 2)
    code_distance_sq = squared_distances(z - z.mean(1, keepdim=True).detach())
    return (weights * metrics.invariance_loss(distance_sq, code_distance_sq, delta, alpha[..., None])).sum((1, 2))


def pairs_of_groups(x: Tensor, entity: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A few of the pairs: of each group one of its own, and one with the next group.

    Args:
        x: ``(R, N, k, d)``.
        entity: ``(R, N)``.
        reference: ``(R, N, q, D)``.

    Returns:
        x and x', ``(R, 2N, d)`` each, and d*, ``(R, 2N)``.
    """
    if reference.shape[-1]:
        apart = torch.cdist(reference, reference.roll(1, 1), compute_mode=EXACT).flatten(-2).amin(-1)
    else:
        apart = torch.ones_like(x[:, :, 0, 0])
    distance = torch.where(entity == entity.roll(1, 1), 0, apart)
    first, second, other = x[:, :, 0], x[:, :, 1], x.roll(1, 1)[:, :, -1]
    return (
        torch.cat([first, first], dim=1),
        torch.cat([second, other], dim=1),
        torch.cat([torch.zeros_like(distance), distance], dim=1),
    )
