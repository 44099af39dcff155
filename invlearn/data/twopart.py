"""Independent circular shifts of the left and the right half (Section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data.family import roll_rows, shift_distance
from invlearn.data.spectral import SpectralFamily
from invlearn.data.spectrum import bispectrum, dft, real_parts

__all__ = ["TwoPart"]


@dataclass(frozen=True, kw_only=True)
class TwoPart(SpectralFamily):
    """Both halves of a signal shifted independently; the invariant is each half's modulus of the DFT.

    Half of the different pairs agree in exactly one part, left or right equally often, so that learning one part is not
    enough.

    Raises:
        ValueError: ``dim`` is odd.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % 2:
            raise ValueError(f"dim must be even, for two parts of equal size, got {self.dim}")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, 2)`` shifts, left and right."""
        return torch.randint(self.dim // 2, (n, 2), generator=generator)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Shift the halves of each signal of ``(n, d)`` by its own two shifts, ``(n, 2)``."""
        left, right = x.chunk(2, dim=-1)
        return torch.cat([roll_rows(left, g[:, 0]), roll_rows(right, g[:, 1])], dim=-1)

    def spectrum(self, x: Tensor) -> Tensor:
        """DFT of the left half, then of the right half, ``(*, d)``."""
        return torch.cat([dft(half) for half in x.chunk(2, dim=-1)], dim=-1)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over both shifts, ``(n,)``; the halves are independent."""
        halves = zip(x.chunk(2, dim=-1), x_prime.chunk(2, dim=-1), strict=True)
        return torch.stack([shift_distance(half, half_prime) for half, half_prime in halves]).norm(dim=0)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Mean, power spectrum and bispectrum of either half, ``(*, K)``; complete where no bin of a DFT is 0."""
        return torch.cat([real_parts(bispectrum(half)) for half in x.chunk(2, dim=-1)], dim=-1)

    def others(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw other entities, ``(n, d)``; of four, one shares the left part with ``x`` and one the right part."""
        y = self.signals(len(x), generator)
        half = self.dim // 2
        y[0::4, :half] = x[0::4, :half]
        y[2::4, half:] = x[2::4, half:]
        return y
