"""Circular shifts (Sections 3 and 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data.family import roll_rows, shift_distance
from invlearn.data.spectral import SpectralFamily
from invlearn.data.spectrum import bispectrum, real_parts

__all__ = ["Shift"]


@dataclass(frozen=True, kw_only=True)
class Shift(SpectralFamily):
    """Circular shifts by 0 to d-1 positions; the invariant is the modulus of the DFT.

    Example:
        >>> family = Shift(dim=5)
        >>> family.act(torch.tensor([2]), torch.tensor([[1.0, 2, 3, 4, 5]]))
        tensor([[4., 5., 1., 2., 3.]])
    """

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` shifts."""
        return torch.randint(self.dim, (n,), generator=generator)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Shift each signal of ``(n, d)`` by its own ``g``, ``(n,)``."""
        return roll_rows(x, g)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all shifts, ``(n,)``."""
        return shift_distance(x, x_prime)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Mean, power spectrum and bispectrum, ``(*, K)``; complete where no bin of the DFT is 0."""
        return real_parts(bispectrum(x))
