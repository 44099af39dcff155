"""The generalised eigenproblem: directions that vary between entities but hardly within them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy
import torch
from torch import Tensor

__all__ = ["Eigenproblem", "Solution", "shrunk"]

CONSTANT = 1e-10
"""Share of the largest variance below which a direction counts as constant: its variance is only rounding."""

EXACT = 1e-10
"""Share of variance within entities that counts as 0: smaller ones are rounding errors, so all get the same weight."""


DEFINITE = 1e-6
"""Least reciprocal condition at which the Cholesky factor of a covariance of standardised features is accurate."""

LOW = 0.5
"""Share of the features below which the rank of a covariance counts as low."""

FEW = 0.4
"""Share of the directions below which finding them one by one is faster than finding all."""


def shrunk(within: Tensor, covariance: Tensor, unit: Tensor, entities: float) -> Tensor:
    r"""Covariance of all samples, with that between entities shrunk if there are few entities.

    E entities differ in at most E - 1 directions. Other directions with little variance within entities may still
    separate other entities, so the covariance between entities is shrunk by :math:`\max(0, 1 - E / 2m)` towards an
    isotropic one with the same trace.

    Args:
        within: Covariance within entities, ``(m, m)``.
        covariance: Covariance of all samples, ``(m, m)``.
        unit: Squared unit of each feature, in which the isotropic covariance is meant, ``(m,)``.
        entities: Number of entities E.

    Reference:
        Friedman, "Regularized discriminant analysis" (1989).
    """
    share = max(0.0, 1 - entities / (2 * len(unit)))
    if not share:
        return covariance
    between = covariance - within
    equal = (unit * between.diagonal()).mean().clamp(min=0) / unit
    return within + (1 - share) * between + share * torch.diag(equal)


class Solution(NamedTuple):
    """Directions, the most invariant first."""

    vectors: Tensor
    """Directions of variance 1 over all samples, ``(m, k)``."""
    within: Tensor
    """Share of the variance of each direction that lies within entities, ``(k,)``, 0 to about 1."""

    @property
    def weights(self) -> Tensor:
        r"""Scale of each direction in the code, ``(k,)``.

        λ is the variance between entities over that within. A direction is in units of its standard deviation within
        entities, times :math:`\sqrt{λ/(1 + λ)}`, so that a noisy direction counts less.
        """
        share = self.within.clamp(min=0, max=1) + EXACT
        return ((1 - share).clamp(min=0) / share).sqrt()


class Eigenproblem:
    r"""Directions v by their share μ of variance within entities, :math:`S_w v = μ S_t v`, and λ = (1 - μ) / μ.

    This is Fisher's discriminant of lifted features, and slow feature analysis if entities are neighbours in time.

    Args:
        within: Covariance within entities S_w, ``(m, m)``.
        covariance: Covariance of all samples S_t, ``(m, m)``.
        mean: Mean of all samples, ``(m,)``; it is passed on.
        unit: Squared size of each feature, the unit of the ridge, ``(m,)``.

    Reference:
        Fisher (1936); Wiskott and Sejnowski, "Slow feature analysis" (2002).
    """

    def __init__(self, within: Tensor, covariance: Tensor, mean: Tensor, unit: Tensor):
        self.mean = mean
        size = covariance.diagonal().clamp(min=0).sqrt()
        self._size = torch.where(size > 0, size, 1.0)
        # What a ridge of 1 adds. From here on, features are scaled to variance 1.
        self._added = (unit * within.diagonal()).mean() / (unit * self._size.square())
        self._within, self._covariance = self._scaled(within), self._scaled(covariance)

    def solve(self, ridge: float = 0.0, most: int | None = None) -> Solution:
        """Solve the problem.

        Args:
            ridge: ρ, added to the variance of every feature, as a share of the mean variance within entities, in
                units of size.
            most: Number of directions; by default all.
        """
        within = self._within + ridge * torch.diag(self._added) if ridge else self._within
        if self._is_definite:
            problem = within.numpy(), self._covariance.numpy()
            if most and most < FEW * len(within):
                found = scipy.linalg.eigh(*problem, subset_by_index=(0, most - 1), driver="gvx", check_finite=False)
            else:
                found = scipy.linalg.eigh(*problem, driver="gvd", check_finite=False)
            shares, vectors = (torch.from_numpy(part[..., :most]) for part in found)
        else:
            shares, rotation = torch.linalg.eigh(self._white.T @ within @ self._white)
            vectors = self._white @ rotation[:, :most]
        # Libraries differ in the signs of eigenvectors, so the largest entry is made positive.
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        return Solution(vectors * signs / self._size[:, None], shares[: vectors.shape[1]])

    def _scaled(self, matrix: Tensor) -> Tensor:
        scaled = matrix / self._size[:, None]
        scaled /= self._size
        return scaled

    @cached_property
    def _is_definite(self) -> bool:
        """Whether no direction is nearly constant, so that a few directions can be found without all others."""
        if self._covariance.is_cuda:
            return False
        factorise, condition = scipy.linalg.get_lapack_funcs(("potrf", "pocon"), dtype=np.float64)
        factor, failed = factorise(self._covariance.numpy())
        if failed:
            return False
        norm = float(self._covariance.abs().sum(0).max())
        return condition(factor, norm)[0] > DEFINITE

    @cached_property
    def _white(self) -> Tensor:
        """Uncorrelated directions of variance 1, without constant ones, ``(m, k)``."""
        root = _root(self._covariance)
        if root is None:
            variances, directions = torch.linalg.eigh(self._covariance)
            scale = variances.clamp(min=0).sqrt()
        else:  # the eigenvectors of R Rᵀ are R v, and those v are the eigenvectors of Rᵀ R
            variances, rotation = torch.linalg.eigh(root.T @ root)
            directions, scale = root @ rotation, variances
        kept = variances > CONSTANT * variances[-1].clamp(min=1e-300)
        return directions[:, kept] / scale[kept]


def _root(covariance: Tensor) -> Tensor | None:
    """A root R of a matrix R Rᵀ of low rank r, ``(m, r)``: that of a few samples of many features.

    Returns:
        None if the rank is not low, the matrix is on another device, where it is not found faster, or is not finite.
    """
    if covariance.is_cuda or not bool(torch.isfinite(covariance).all()):
        return None
    (factorise,) = scipy.linalg.get_lapack_funcs(("pstrf",), dtype=np.float64)
    factor, order, rank, _ = factorise(covariance.numpy(), lower=True)
    if not 0 < rank < LOW * len(covariance):
        return None
    root = covariance.new_empty(len(covariance), rank)
    root[torch.from_numpy(order - 1).long()] = torch.from_numpy(factor[:, :rank]).tril()
    return root
