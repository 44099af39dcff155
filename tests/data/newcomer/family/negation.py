"""Signs: a signal and its negative are the same thing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily


@dataclass(frozen=True, kw_only=True)
class Negation(TransformationFamily):
    """Half of the signals are negated; what stays are the products of neighbouring features."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` booleans: whether a signal is negated."""
        return torch.rand(n, generator=generator) < 0.5

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Negate those of ``(n, d)`` that ``g`` says."""
        return torch.where(g[:, None], -x, x)

    def invariant(self, x: Tensor) -> Tensor:
        """Squares and products of neighbours, ``(*, 2d)``."""
        return torch.cat([x * x, x * x.roll(1, -1)], dim=-1)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """The smaller of both distances, ``(n,)``."""
        return torch.minimum((x - x_prime).norm(dim=-1), (x + x_prime).norm(dim=-1))
