"""Bispectral networks: a linear map that is trained until its triple products are invariant."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invlearn.nn.autoencoder import AutoEncoder
from invlearn.nn.linear import check_size

__all__ = ["BispectralAutoEncoder", "BispectralEncoder", "bispectral_features"]

TINY = 1e-12
"""Lower bound of the length of β in its power."""


def bispectral_features(dim: int) -> int:
    """Width of the invariant code for d features: real and imaginary part of each β_ij with i ≤ j."""
    return dim * (dim + 1)


class BispectralEncoder(nn.Module):
    r"""Triple products of a complex linear map W, ``(d, d)`` for each replica, and the map itself.

    .. math:: l = W x, \quad β_{ij} = l_i \, l_j \, \overline{(W_i \odot W_j) x} \quad \text{for } i \le j

    β minus its mean and scaled to length 1 is the invariant code. If the rows of W are the characters of a commutative
    group, the product of two rows is another row, and β is the group's bispectrum. Complex numbers are pairs of real
    ones here, so that the network can be exported.

    Args:
        dim: d.
        generators: One generator per replica. W starts as a random unitary matrix.
        complete: Whether the code separates a signal from its multiples (ours): then β is divided by its length to the
            power of 2/3, so that the code grows with x. By default the code has length 1, as in the paper.

    Attributes:
        weight: Real, then imaginary parts of W's rows before they are scaled to length 1, ``(R, d, 2 d)``.

    Reference:
        Sanborn, Shewmake, Olshausen and Hillar, "Bispectral neural networks", ICLR 2023.
    """

    def __init__(self, dim: int, generators: Sequence[torch.Generator], *, complete: bool = False):
        super().__init__()
        self.complete = complete
        # float64 first, as in StackedLinear.
        weight = torch.empty(len(generators), dim, 2 * dim, dtype=torch.float64)
        if not weight.is_meta:
            for weight_IO, generator in zip(weight, generators, strict=True):
                real, imaginary = torch.randn(2, dim, dim, generator=generator, dtype=torch.float64)
                unitary, _ = torch.linalg.qr(torch.complex(real, imaginary))
                weight_IO.copy_(torch.cat([unitary.real.T, unitary.imag.T], dim=1))
        self.weight = nn.Parameter(weight.to(torch.get_default_dtype()))

    def rows(self) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts of W's rows, scaled to length 1, as columns: ``(R, d, d)`` each."""
        real, imaginary = self.weight.chunk(2, dim=-1)
        length = torch.sqrt(real.square().sum(1, keepdim=True) + imaginary.square().sum(1, keepdim=True))
        return real / length, imaginary / length

    def forward(self, x_RBD: Tensor) -> Tensor:
        """Map ``(R, B, d)`` to the code β, then l, ``(R, B, d (d + 1) + 2 d)``."""
        rows = self.rows()
        linear = x_RBD @ rows[0], x_RBD @ rows[1]
        real, imaginary = _products_of_pairs(rows)
        third = x_RBD @ real, -(x_RBD @ imaginary)  # conjugated
        beta = torch.stack(_product(_products_of_pairs(linear), third), dim=-1)
        beta = (beta - beta.mean(-2, keepdim=True)).flatten(-2)
        code = nn.functional.normalize(beta, dim=-1)
        if self.complete:
            code = code * torch.linalg.vector_norm(beta, dim=-1, keepdim=True).clamp(min=TINY) ** (1 / 3)
        return torch.cat([code, *linear], dim=-1)

    def extra_repr(self) -> str:
        """Widths of input and output."""
        dim = self.weight.shape[1]
        return f"{dim}, {bispectral_features(dim) + 2 * dim}"


class BispectralAutoEncoder(AutoEncoder):
    r"""A bispectral network that reconstructs :math:`\hat x = \mathrm{Re}\, W^H W x`; it has no other decoder.

    Args:
        dim: Number of features d of a signal.
        code_features: Width of the code, d (d + 1) + 2 d.
        generators: One generator per replica.
        complete: As in :class:`BispectralEncoder`.

    Raises:
        ValueError: The code has another width, or the network is too large.
    """

    def __init__(self, dim: int, code_features: int, generators: Sequence[torch.Generator], *, complete: bool = False):
        width = bispectral_features(dim) + 2 * dim
        if code_features != width:
            raise ValueError(
                f"a bispectral code of {dim} features is {width} wide, but this loss needs {code_features}; "
                f"use loss=bispectral"
            )
        check_size([(dim, width)])
        super().__init__(BispectralEncoder(dim, generators, complete=complete), nn.Identity())

    def decode(self, z_RBC: Tensor) -> Tensor:
        """Reconstructions of codes ``(R, B, code)`` from l alone, ``(R, B, d)``."""
        assert isinstance(self.encoder, BispectralEncoder)
        real, imaginary = self.encoder.rows()
        dim = real.shape[1]
        return z_RBC[..., -2 * dim : -dim] @ real.mT + z_RBC[..., -dim:] @ imaginary.mT


def _product(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Product of complex numbers."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _products_of_pairs(values: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Products of all pairs with i ≤ j, from ``(*, d)`` to ``(*, d (d + 1) / 2)``."""
    dim = values[0].shape[-1]
    pairs = torch.triu_indices(dim, dim, device=values[0].device)
    first, second = ((values[0][..., index], values[1][..., index]) for index in pairs)
    return _product(first, second)
