"""Arithmetic shared by losses and metrics, as plain functions of tensors.

Legend: R replicas, N pairs or entities, k samples of an entity, S = N·k samples, C code, D reference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.data.distances import CLOSEST, EXACT

__all__ = [
    "closeness",
    "code_distance",
    "entity_distances",
    "example_pairs",
    "invariance_loss",
    "mean_over",
    "mean_squared_error",
    "pair_targets",
    "reconstruction_error",
    "squared_distances",
]


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared difference over all but the first dimension: ``(R, N, C)`` to ``(R,)``."""
    return (prediction - target).square().flatten(1).mean(1)


def reconstruction_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean squared error of reconstructions ``(R, B, k, d)``, ``(R,)``.

    If an example has several samples, its own mean is computed first, so that rounding agrees with the numbers on
    record.
    """
    squared = (x_hat - x).square()
    return squared.flatten(1).mean(1) if squared.shape[2] == 1 else squared.mean(-1).mean(-1).mean(1)


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` is true, both ``(R, N)``, to ``(R,)``; NaN if it is true nowhere."""
    return torch.where(mask, values, 0).sum(-1) / mask.sum(-1)


def code_distance(z: Tensor, z_prime: Tensor) -> Tensor:
    """Distance d̂ = ‖z - z'‖ of invariant codes, ``(R, N, C)`` to ``(R, N)`` (Section 5)."""
    return torch.linalg.vector_norm(z - z_prime, dim=-1)


def closeness(distance_sq: Tensor, delta: Tensor | float, alpha: Tensor | float) -> Tensor:
    """1/(δ + α d²) of squared distances d², ``(R, N)``; α is a number or ``(R, 1)``.

    Its mean over training pairs is the closeness of the constant d̂ with the least mean ℓ, the baseline of an encoder.
    """
    return 1 / (delta + alpha * distance_sq)


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


def squared_distances(z: Tensor) -> Tensor:
    """Squared distances between codes, ``(R, S, C)`` to ``(R, S, S)``; they are less accurate far from 0."""
    squares = z.square().sum(-1)
    return torch.baddbmm(squares[:, :, None] + squares[:, None, :], z, z.mT, alpha=-2).clamp(min=0)


def entity_distances(entity: Tensor, reference: Tensor) -> Tensor:
    """d* between all entities of a batch, ``(R, N, N)``: exactly 0 where both are the same.

    Args:
        entity: The entity's number, ``(R, N)``.
        reference: ``(R, N, q, D)``, see ``invlearn.data.EntityBatch``.
    """
    different = entity[:, :, None] != entity[:, None, :]
    q = reference.shape[2]
    if reference.shape[-1] == 0:
        return different.to(reference.dtype)
    points = reference.flatten(1, 2)
    apart = torch.cdist(points, points, compute_mode=EXACT).unflatten(2, (-1, q)).unflatten(1, (-1, q)).amin((2, 4))
    return torch.where(different, apart.clamp(min=CLOSEST), 0)


def pair_weights(same: Tensor, k: int, dtype: torch.dtype) -> Tensor:
    """Weight of each pair of samples, ``(R, S, S)``: same pairs and different pairs have a total of a half each.

    Args:
        same: Whether two entities are the same, ``(R, N, N)``.
        k: Samples of each entity.
        dtype: Data type of the weights.
    """
    same = same.repeat_interleave(k, 1).repeat_interleave(k, 2)
    with_another = same.to(dtype)
    with_another.diagonal(dim1=1, dim2=2).zero_()  # a sample and itself are not a pair
    counts = with_another.sum((1, 2), keepdim=True)
    others = (~same).to(dtype).sum((1, 2), keepdim=True)
    return torch.where(same, with_another / (2 * counts), 0.5 / others)


def pair_targets(entity: Tensor, reference: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Weight and squared d* of each pair of samples of a batch, ``(R, S, S)`` both.

    Args:
        entity: The entity's number, ``(R, N)``.
        reference: ``(R, N, q, D)``.
        k: Samples of each entity.
    """
    distance = entity_distances(entity, reference)
    weights = pair_weights(distance == 0, k, distance.dtype)
    return weights, distance.square().repeat_interleave(k, 1).repeat_interleave(k, 2)


def example_pairs(x: Tensor, entity: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two pairs per entity of a batch: one within the entity, and one with the next entity.

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
    distance = torch.where(entity == entity.roll(1, 1), 0, apart.clamp(min=CLOSEST))
    first, second, other = x[:, :, 0], x[:, :, 1], x.roll(1, 1)[:, :, -1]
    return (
        torch.cat([first, first], dim=1),
        torch.cat([second, other], dim=1),
        torch.cat([torch.zeros_like(distance), distance], dim=1),
    )
