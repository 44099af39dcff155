"""Mirror images: a signal read backwards is the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily
from invlearn.data.spectrum import up_to_sign

__all__ = ["Mirror"]


@dataclass(frozen=True, kw_only=True)
class Mirror(TransformationFamily):
    """Half of the signals are read backwards; the invariant is the even part, and the absolute value of the odd part.

    Example:
        >>> family = Mirror(dim=3)
        >>> family.act(torch.tensor([True, False]), torch.tensor([[1.0, 2, 3], [1, 2, 3]]))
        tensor([[3., 2., 1.],
                [1., 2., 3.]])
    """

    distance: Literal["spectral", "orbit", "binary"] = "binary"

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` booleans: whether a signal is mirrored."""
        return torch.rand(n, generator=generator) < 0.5

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Mirror the signals of ``(n, d)`` where ``g``, ``(n,)``, is true."""
        return torch.where(g[:, None], x.flip(-1), x)

    def invariant(self, x: Tensor) -> Tensor:
        """Even part and absolute odd part, in an orthonormal basis, ``(*, d)``."""
        even, odd = self._parts(x)
        return torch.cat([even, odd.abs()], dim=-1)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """The smaller of both distances, ``(n,)``."""
        images = torch.stack([x_prime, x_prime.flip(-1)])
        return torch.linalg.vector_norm(x - images, dim=-1).amin(0)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Even part, and the odd part up to its sign, ``(*, K)``; complete."""
        even, odd = self._parts(x)
        return torch.cat([even, up_to_sign(odd)], dim=-1)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates that mirroring keeps, and coordinates whose sign it changes."""
        half = self.dim // 2
        left, right = x[..., :half], x.flip(-1)[..., :half]
        middle = x[..., half : self.dim - half]
        return torch.cat([(left + right) / 2**0.5, middle], dim=-1), (left - right) / 2**0.5
