"""Families whose invariant is the modulus of a spectrum."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invlearn.data.batches import Spectra
from invlearn.data.dataset import Split
from invlearn.data.family import TransformationFamily
from invlearn.data.seeding import seeded_generator
from invlearn.data.spectrum import dft

__all__ = ["SpectralFamily"]


@dataclass(frozen=True, kw_only=True)
class SpectralFamily(TransformationFamily):
    """A family with a complex spectrum of d values, whose modulus G never changes; by default the DFT of a signal.

    A supervised code is computed from such a spectrum (Section 3).
    """

    def spectrum(self, x: Tensor) -> Tensor:
        """Complex spectrum ``(*, d)`` of signals ``(*, d)``; G does not change its modulus."""
        return dft(x)

    def invariant(self, x: Tensor) -> Tensor:
        """The modulus of the spectrum, ``(*, d)``."""
        return self.spectrum(x).abs()

    def spectra(self, split: Split, seed: int) -> Spectra:
        """Samples of a split, and the spectra of their signals, ``(size, d)`` each."""
        x = self.signals(self._size(split), seeded_generator(seed, "signals", split))
        return Spectra(self.mix(x), self.spectrum(x))
