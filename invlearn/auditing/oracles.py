"""Codes with a known audit, for shifts of any number of features; they calibrate the attack."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.encoders import Function

__all__ = ["ORACLES", "Oracle", "bispectrum", "modulus"]

PRODUCTS = 256
"""Approximate number of products of the bispectrum; one frequency with all others would suffice if none were near 0."""


def identity(x: Tensor) -> Tensor:
    """The sample itself: it separates all samples, even those of one entity."""
    return x


def modulus(x: Tensor) -> Tensor:
    r"""\|DFT(x)\|, ``(n, d // 2 + 1)``: the same for a sample and its mirror image."""
    return torch.fft.rfft(x).abs()


def bispectrum(x: Tensor) -> Tensor:
    r"""The power spectrum and bispectrum of samples ``(n, d)``: generic samples that share them differ by a shift.

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
    """A code and the known answer of an attack on it."""

    name: str
    function: Function
    is_complete: bool
    """Whether only samples of one entity share a code."""


ORACLES = (
    Oracle("raw", identity, True),
    Oracle("modulus of the DFT", modulus, False),
    Oracle("bispectrum", bispectrum, True),
)
"""The oracles for any dimension."""
