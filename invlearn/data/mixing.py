"""A hidden linear map from signals to samples."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["random_mixing"]

CONDITION = 10.0
"""Largest singular value of a mixing over its smallest."""


def random_mixing(dim: int, generator: torch.Generator) -> Tensor:
    """A random invertible matrix, ``(d, d)`` in float64, with singular values from 1/√10 to √10.

    It is U S Vᵀ with U and V uniform among orthogonal matrices, and the logarithms of S evenly spaced.

    Args:
        dim: d, at least 2.
        generator: Source of randomness.
    """
    left, right = (_orthogonal(dim, generator) for _ in range(2))
    singular = CONDITION ** torch.linspace(-0.5, 0.5, dim, dtype=torch.float64)
    return left * singular @ right.T


def _orthogonal(dim: int, generator: torch.Generator) -> Tensor:
    """A uniformly random orthogonal matrix, ``(d, d)``: with R's diagonal positive, Q R is unique, and Q uniform."""
    q, r = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()
