"""The generalised eigenproblem: directions that vary between entities and hardly within them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Eigenproblem", "Solution"]

CONSTANT = 1e-10
"""Share of the largest variance below which a direction counts as constant: rounding is all that is left of it."""

EXACT = 1e-10
"""Share of variance within entities that is taken for 0: rounding lies below it, and what is exact weighs alike."""


class Solution(NamedTuple):
    """Directions, the most invariant first."""

    vectors: Tensor
    """With variance 1 over all samples, ``(m, k)``."""
    within: Tensor
    """Share of each one's variance that lies within entities, ``(k,)``, 0 to about 1."""

    @property
    def weights(self) -> Tensor:
        r"""What brings each direction to its part of the code, ``(k,)``.

        With λ the variance between entities over that within, the direction counts in units of its standard deviation
        within entities, times :math:`\sqrt{λ/(1 + λ)}`, so that one that is mostly noise counts less.
        """
        share = self.within.clamp(min=0, max=1) + EXACT
        return ((1 - share).clamp(min=0) / share).sqrt()


class Eigenproblem:
    r"""Directions v by their share μ of variance within entities, :math:`S_w v = μ S_t v`, and λ = (1 - μ) / μ.

    This is Fisher's discriminant of lifted features, and slow feature analysis where entities are neighbours in time.

    Args:
        within: Covariance within entities S_w, ``(m, m)``.
        covariance: Covariance of all samples S_t, ``(m, m)``.
        mean: Of all samples, ``(m,)``; it goes along.
        unit: Size of each feature, squared, relative to which the ridge is, ``(m,)``.

    Reference:
        Fisher (1936); Wiskott and Sejnowski, "Slow feature analysis" (2002).
    """

    def __init__(self, within: Tensor, covariance: Tensor, mean: Tensor, unit: Tensor):
        self.mean = mean
        size = covariance.diagonal().clamp(min=0).sqrt()
        size = torch.where(size > 0, size, 1.0)
        variances, directions = torch.linalg.eigh(covariance / torch.outer(size, size))
        kept = variances > CONSTANT * variances[-1].clamp(min=1e-300)
        white = directions[:, kept]
        del directions  # matrices of many features are the memory that this takes
        white /= variances[kept].sqrt()
        self._unit, self._spread = unit, within.diagonal().clone()
        self._within = white.T @ (within / torch.outer(size, size)) @ white
        white /= size[:, None]
        self._white = white

    @cached_property
    def _squares(self) -> Tensor:
        """The mean variance within entities, in units of size, as every feature gets it by a ridge of 1."""
        return (self._unit * self._spread).mean() * (self._white.T @ (self._white / self._unit[:, None]))

    def solve(self, ridge: float = 0.0) -> Solution:
        """Solve it.

        Args:
            ridge: ρ, the share of the mean variance within entities, in units of size, that every feature gets in
                addition.
        """
        within = self._within + ridge * self._squares if ridge else self._within
        shares, rotation = torch.linalg.eigh(within)
        return Solution(self._white @ rotation, shares)
