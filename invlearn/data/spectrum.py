"""The discrete Fourier transform, free of rounding noise where its value is known."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["dft"]


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
