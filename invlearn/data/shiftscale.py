"""Circular shifts and multiplication by a scalar (Section 5.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.data.family import roll_rows, shift_distance
from invlearn.data.spectral import SpectralFamily
from invlearn.data.spectrum import bispectrum, dft, real_parts, up_to_sign

__all__ = ["ShiftScale"]


class ShiftAndScale(NamedTuple):
    """A shift and a factor for each signal, ``(n,)`` each."""

    shift: Tensor
    scale: Tensor


@dataclass(frozen=True, kw_only=True)
class ShiftScale(SpectralFamily):
    r"""A circular shift, times a log-uniform scalar; the invariant is √d \|DFT(x)\| / ‖DFT(x)‖.

    Args:
        min_scale: Smallest factor, above 0 (the range is ours; the paper does not give one).
        max_scale: Largest factor.
        sign_flips: Whether half of the factors are negative.

    Raises:
        ValueError: The range of factors is empty or not positive.
    """

    min_scale: float = 0.5
    max_scale: float = 2.0
    sign_flips: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.min_scale <= self.max_scale < math.inf:
            raise ValueError(
                f"min_scale must be above 0 and at most max_scale, got {self.min_scale} and {self.max_scale}"
            )

    def sample(self, n: int, generator: torch.Generator) -> ShiftAndScale:
        """Draw ``n`` shifts and factors."""
        shift = torch.randint(self.dim, (n,), generator=generator)
        low, high = math.log(self.min_scale), math.log(self.max_scale)
        scale = torch.exp(low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64))
        if self.sign_flips:
            scale = scale * (1 - 2 * torch.randint(2, (n,), generator=generator))
        return ShiftAndScale(shift, scale)

    def act(self, g: ShiftAndScale, x: Tensor) -> Tensor:
        """Shift and multiply each signal of ``(n, d)`` by its own element."""
        return roll_rows(x, g.shift) * g.scale[:, None].to(x.dtype)

    def spectrum(self, x: Tensor) -> Tensor:
        """DFT of the signal brought to norm √d over all bins, ``(*, d)``; 0 for the zero signal."""
        return math.sqrt(self.dim) * torch.nn.functional.normalize(dft(x), dim=-1)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all shifts (and signs, if they flip), ``(n,)``, of signals scaled to norm √d.

        The minimum over the scale would shrink with the scale, so signals are compared at equal norm.
        """
        x, x_prime = self._at_one_norm(x), self._at_one_norm(x_prime)
        distance = shift_distance(x, x_prime)
        return torch.minimum(distance, shift_distance(x, -x_prime)) if self.sign_flips else distance

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Mean, power spectrum and bispectrum of signals scaled to norm √d, ``(*, K)``.

        Complete where no bin of the DFT is 0. With sign flips, mean and bispectrum are defined up to a common sign.
        """
        values = bispectrum(self._at_one_norm(x))
        if not self.sign_flips:
            return real_parts(values)
        power = values[..., 1 : self.dim].real  # only the power keeps its sign
        odd = torch.cat([values[..., :1].real, real_parts(values[..., self.dim :])], dim=-1)
        return torch.cat([power, up_to_sign(odd)], dim=-1)

    def _at_one_norm(self, x: Tensor) -> Tensor:
        return math.sqrt(self.dim) * torch.nn.functional.normalize(x, dim=-1)
