"""The discrete Fourier transform, free of rounding noise where its value is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["BLOCKS", "Code", "code_of", "dft"]


def dft(x: Tensor) -> Tensor:
    r"""Discrete Fourier transform of real signals, with the phases that mathematics gives.

    .. math:: \mathrm{DFT}(x)_k = \sum_{j=0}^{d-1} x_j e^{-2\pi i jk/d}

    Bins 0 and d/2 of a real signal are real, and an absent frequency is zero; rounding would turn their phases into
    noise (-π for π, or anything at all). Both are set right, so their phases are 0 or π.

    Args:
        x: Real signals, ``(*, d)``.

    Returns:
        Complex spectra, ``(*, d)``.

    Reference:
        Zhang & Arodz, Section 3.
    """
    d = x.shape[-1]
    spectrum = torch.fft.fft(x)
    real_bins = [0, d // 2] if d % 2 == 0 else [0]
    spectrum.imag[..., real_bins] = 0.0
    rounding = 8 * torch.finfo(x.dtype).eps * torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.where(spectrum.abs() > rounding, spectrum, torch.zeros_like(spectrum))


Code = Literal["modulus_phase", "modulus_sine_cosine"]
"""A supervised code (Section 3)."""

BLOCKS: dict[Code, tuple[str, ...]] = {
    "modulus_phase": ("modulus", "phase"),
    "modulus_sine_cosine": ("modulus", "sine", "cosine"),
}
"""The blocks of each code, in order, each d features wide."""

_OF_SPECTRUM: dict[str, Callable[[Tensor], Tensor]] = {
    "modulus": torch.abs,
    "phase": torch.angle,
    "sine": lambda spectrum: torch.sin(torch.angle(spectrum)),
    "cosine": lambda spectrum: torch.cos(torch.angle(spectrum)),
}


def code_of(spectrum: Tensor, code: Code) -> dict[str, Tensor]:
    """The blocks of a code, ``(*, d)`` each, of complex spectra ``(*, d)``."""
    return {block: _OF_SPECTRUM[block](spectrum) for block in BLOCKS[code]}
