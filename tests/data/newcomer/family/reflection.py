"""Mirror images: a signal read backwards is the same thing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily


@dataclass(frozen=True, kw_only=True)
class Reflection(TransformationFamily):
    """Half of the signals are read backwards; what stays are the even part and the absolute odd part."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` booleans: whether a signal is mirrored."""
        return torch.rand(n, generator=generator) < 0.5

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Mirror those of ``(n, d)`` that ``g`` says."""
        return torch.where(g[:, None], x.flip(-1), x)

    def spectrum(self, x: Tensor) -> Tensor:
        """Even part, then odd part, ``(*, d)``; mirroring changes the signs of the latter alone."""
        half = (self.dim + 1) // 2
        even, odd = (x + x.flip(-1)) / 2, (x - x.flip(-1)) / 2
        return torch.cat([even[..., :half], odd[..., : self.dim - half]], dim=-1).to(torch.complex128)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """The smaller of both distances, ``(n,)``."""
        return torch.minimum((x - x_prime).norm(dim=-1), (x - x_prime.flip(-1)).norm(dim=-1))
