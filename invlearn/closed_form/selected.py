"""The features of a sample with the largest ratio of variance between entities to variance within them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Selected", "variance_ratio"]


class Selected(nn.Module):
    r"""Samples in which the features that were not chosen are 0.

    .. math:: f(x) = x \odot m

    Args:
        mask: m of each replica, 0 or 1, ``(R, d)``.
    """

    def __init__(self, mask: Tensor):
        super().__init__()
        self.mask = nn.Parameter(mask)

    @property
    def sees_all(self) -> bool:
        """Whether every feature was chosen."""
        return bool(self.mask.all())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, d)`` to ``(R, B, d)``."""
        return x * self.mask[:, None]


def variance_ratio(x: Tensor, entity: Tensor) -> Tensor:
    """F of each feature: its variance between entities over that within them, ``(d,)``; infinite if that is 0.

    Args:
        x: ``(n, d)``.
        entity: Number of the entity of each sample, in ascending order, ``(n,)``.

    Reference:
        Fisher, "Statistical Methods for Research Workers" (1925), analysis of variance.
    """
    _, number, counts = entity.unique_consecutive(return_inverse=True, return_counts=True)
    x = x - x.mean(0)
    means = x.new_zeros(len(counts), x.shape[1]).index_add(0, number, x) / counts[:, None]
    between = (counts[:, None] * means.square()).sum(0)
    within = (x.square().sum(0) - between).clamp(min=0)
    ratio = (between / max(1, len(counts) - 1)) / (within / max(1, len(x) - len(counts)))
    return torch.where(between > 0, ratio, 0.0)
