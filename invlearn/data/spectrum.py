"""The discrete Fourier transform, without rounding errors where its value is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Literal

import torch
from torch import Tensor

__all__ = ["BLOCKS", "Code", "bispectrum", "code_of", "dft", "real_parts", "up_to_sign"]


def dft(x: Tensor, shape: tuple[int, ...] = ()) -> Tensor:
    r"""Discrete Fourier transform of real signals, with exact phases of real and of zero bins.

    .. math:: \mathrm{DFT}(x)_k = \sum_{j=0}^{d-1} x_j e^{-2\pi i jk/d}

    Bins 0 and d/2 of a real signal are real, and an absent frequency is zero; rounding errors would change their phases
    (-π for π, or any value). Both are corrected, so their phases are 0 or π.

    Args:
        x: Real signals, ``(*, d)``.
        shape: Lengths of the axes of a signal, with product d; by default one axis.

    Returns:
        Complex spectra, ``(*, d)``.

    Reference:
        Zhang & Arodz, Section 3.
    """
    shape = shape or (x.shape[-1],)
    axes = tuple(range(-len(shape), 0))
    # One axis has its own routine, which rounds differently for some lengths.
    spectrum = torch.fft.fft(x) if len(shape) == 1 else torch.fft.fftn(x.unflatten(-1, shape), dim=axes)
    real_bins = [torch.tensor([0, size // 2] if size % 2 == 0 else [0]) for size in shape]
    spectrum.imag[(..., *torch.meshgrid(*real_bins, indexing="ij"))] = 0.0
    spectrum = spectrum.flatten(-len(shape))
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


def bispectrum(x: Tensor, shape: tuple[int, ...] = ()) -> Tensor:
    r"""Mean, power spectrum and bispectrum, which together are a complete invariant of circular shifts.

    .. math:: X_0, \quad |X_k|^2, \quad X_j X_k X_l \ \text{for} \ j + k + l = 0

    with X the discrete Fourier transform. If no bin of X is zero, two signals have the same values only if one is a
    shift of the other.

    Args:
        x: Real signals, ``(*, d)``.
        shape: Lengths of the axes along which they are shifted, with product d; by default one axis.

    Returns:
        Complex values, ``(*, d + T)``, T about d²/12: one for all triples that differ only in order or in the sign of
        all three frequencies. The first d values are real.

    Reference:
        Kakarala, "The bispectrum as a source of phase-sensitive invariants for Fourier descriptors" (2012).
    """
    shape = shape or (x.shape[-1],)
    spectrum = dft(x, shape)
    triples = spectrum[..., _triples(shape).to(x.device)].prod(-1)
    return torch.cat([spectrum[..., :1], spectrum[..., 1:].abs().square(), triples], dim=-1)


@cache
def _triples(shape: tuple[int, ...]) -> Tensor:
    """Frequencies other than 0 with sum 0, as indices of the flattened spectrum, ``(T, 3)``."""
    sizes = torch.tensor(shape)
    strides = torch.tensor([prod(shape[axis + 1 :]) for axis in range(len(shape))])
    first, second = torch.combinations(torch.arange(1, prod(shape)), with_replacement=True).unbind(-1)

    def negated_sum(*indices: Tensor) -> Tensor:
        coordinates = sum((index[:, None] // strides for index in indices), torch.zeros(1, dtype=torch.long))
        return ((-coordinates % sizes) * strides).sum(-1)

    third = negated_sum(first, second)
    ordered = third >= second
    triples = torch.stack([first, second, third], dim=-1)[ordered]
    mirrored = torch.stack([negated_sum(index) for index in triples.unbind(-1)], dim=-1).sort(-1).values
    d = prod(shape)
    number, mirrored_number = ((row * torch.tensor([d * d, d, 1])).sum(-1) for row in (triples, mirrored))
    return triples[number <= mirrored_number]


def real_parts(values: Tensor) -> Tensor:
    """Real and imaginary parts of complex values, ``(*, K)`` to ``(*, 2 K)``."""
    return torch.view_as_real(values).flatten(-2)


def up_to_sign(v: Tensor) -> Tensor:
    r"""A complete invariant of v ↦ -v: the products v_j v_k / ‖v‖, ``(*, K)`` to ``(*, K (K + 1) / 2)``."""
    first, second = torch.triu_indices(v.shape[-1], v.shape[-1], device=v.device)
    norm = torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)
    return v[..., first] * v[..., second] / norm
