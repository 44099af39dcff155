"""Codes whose audit is known, for shifts of any number of features: what an attack is calibrated on."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.encoders import Function

__all__ = ["ORACLES", "Oracle", "bispectrum", "modulus"]

PRODUCTS = 256
"""Products of the bispectrum, about; one frequency coupled with all others would do where none is near 0."""


def identity(x: Tensor) -> Tensor:
    """The sample itself: it tells everything apart, samples of one entity too."""
    return x


def modulus(x: Tensor) -> Tensor:
    r"""\|DFT(x)\|, ``(n, d // 2 + 1)``: the same for a sample and its mirror image."""
    return torch.fft.rfft(x).abs()


def bispectrum(x: Tensor) -> Tensor:
    r"""The power spectrum and the bispectrum of samples ``(n, d)``: generic samples that share it differ by a shift.

    .. math:: u_j u_k \bar u_{j+k}, \quad 0 \le j \le J, \quad u = \mathrm{DFT}(x) / \sqrt d

    Reference:
        Kakarala, "The bispectrum as a source of phase-sensitive invariants for Fourier descriptors" (2012).
    """
    d = x.shape[-1]
    u = torch.fft.fft(x) / math.sqrt(d)
    j, k = torch.cartesian_prod(torch.arange(min(d // 2, max(3, PRODUCTS // d)) + 1), torch.arange(d)).T
    triple = u[:, j] * u[:, k] * u[:, (j + k) % d].conj()
    return torch.cat([u.abs().square()[:, : d // 2 + 1], triple.real, triple.imag], dim=1)


class Oracle(NamedTuple):
    """A code and what an attack on it must show."""

    name: str
    function: Function
    is_complete: bool
    """Whether samples that share a code are of one entity."""


ORACLES = (
    Oracle("raw", identity, True),
    Oracle("modulus of the DFT", modulus, False),
    Oracle("bispectrum", bispectrum, True),
)
"""The oracles of every dimension."""
