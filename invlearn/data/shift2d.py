"""Circular shifts of an image along both axes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data.spectral import SpectralFamily
from invlearn.data.spectrum import bispectrum, dft, real_parts

__all__ = ["Shift2D"]


@dataclass(frozen=True, kw_only=True)
class Shift2D(SpectralFamily):
    r"""Images on a torus, shifted along rows and columns; the invariant is \|DFT\| in two dimensions.

    Args:
        rows: Rows of an image, which is stored row by row; it has ``dim / rows`` columns.

    Raises:
        ValueError: ``dim`` is not a multiple of ``rows``.
    """

    dim: int = 16
    rows: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows < 1 or self.dim % self.rows:
            raise ValueError(f"rows must be a divisor of dim={self.dim}, got {self.rows}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.rows, self.dim // self.rows

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, 2)`` shifts, down and to the right."""
        return torch.stack([torch.randint(size, (n,), generator=generator) for size in self.shape], dim=-1)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Shift each image of ``(n, d)`` by its own two shifts, ``(n, 2)``."""
        rows, columns = (
            (torch.arange(size, device=x.device) - shift[:, None]) % size
            for size, shift in zip(self.shape, g.unbind(-1), strict=True)
        )
        return x.gather(-1, (rows[:, :, None] * self.shape[1] + columns[:, None, :]).flatten(1))

    def spectrum(self, x: Tensor) -> Tensor:
        """DFT in two dimensions, row by row, ``(*, d)``."""
        return dft(x, self.shape)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all shifts, ``(n,)``, at the peak of the circular cross-correlation."""
        spectra = [torch.fft.rfft2(image.detach().unflatten(-1, self.shape)) for image in (x, x_prime)]
        correlation = torch.fft.irfft2(spectra[0] * spectra[1].conj(), s=self.shape)
        peak = correlation.flatten(-2).argmax(-1)
        best = torch.stack([peak // self.shape[1], peak % self.shape[1]], dim=-1)
        return torch.linalg.vector_norm(x - self.act(best, x_prime), dim=-1)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Mean, power spectrum and bispectrum in two dimensions, ``(*, K)``; complete where no bin of the DFT is 0."""
        return real_parts(bispectrum(x, self.shape))
