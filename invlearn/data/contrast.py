"""Brightness and contrast: each signal times a factor, plus an offset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily

__all__ = ["Contrast"]


class FactorAndOffset(NamedTuple):
    """A factor and an offset for each signal, ``(n,)`` each."""

    factor: Tensor
    offset: Tensor


@dataclass(frozen=True, kw_only=True)
class Contrast(TransformationFamily):
    """a x + b, a log-uniform and b uniform; the invariant is the signal with mean 0 and norm √d.

    Args:
        min_scale: Smallest factor a, above 0.
        max_scale: Largest factor.
        max_offset: Largest b, at least 0; the smallest is ``-max_offset``.

    Raises:
        ValueError: A range is empty, or a factor is not positive.
    """

    distance: Literal["spectral", "orbit", "binary"] = "binary"
    min_scale: float = 0.5
    max_scale: float = 2.0
    max_offset: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim < 3:
            raise ValueError(
                f"dim must be at least 3: with two features all signals are the same up to contrast, got {self.dim}"
            )
        if not 0 < self.min_scale <= self.max_scale < math.inf:
            raise ValueError(
                f"min_scale must be above 0 and at most max_scale, got {self.min_scale} and {self.max_scale}"
            )
        if not 0 <= self.max_offset < math.inf:
            raise ValueError(f"max_offset must be at least 0, got {self.max_offset}")

    def sample(self, n: int, generator: torch.Generator) -> FactorAndOffset:
        """Draw ``n`` factors and offsets."""
        u, v = torch.rand(2, n, generator=generator, dtype=torch.float64)
        low, high = math.log(self.min_scale), math.log(self.max_scale)
        return FactorAndOffset(torch.exp(low + (high - low) * u), self.max_offset * (2 * v - 1))

    def act(self, g: FactorAndOffset, x: Tensor) -> Tensor:
        """Change each signal of ``(n, d)`` by its own factor and offset."""
        return x * g.factor[:, None].to(x) + g.offset[:, None].to(x)

    def invariant(self, x: Tensor) -> Tensor:
        """The signal with mean 0 and norm √d, ``(*, d)``; 0 for a constant one."""
        return math.sqrt(self.dim) * torch.nn.functional.normalize(x - x.mean(-1, keepdim=True), dim=-1)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Distance of the signals at mean 0 and norm √d, ``(n,)``.

        The minimum over the factor would shrink with the factor, so signals are compared at equal mean and norm.
        """
        return torch.linalg.vector_norm(self.invariant(x) - self.invariant(x_prime), dim=-1)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """The invariant, ``(*, d)``, which is complete for signals that are not constant."""
        return self.invariant(x)
