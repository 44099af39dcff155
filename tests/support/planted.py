"""Encoders with known symmetries."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.oracles import modulus


def bispectrum(x: Tensor) -> Tensor:
    """All u_j u_k conj(u_{j + k}) of u = DFT(x), in real numbers, as ONNX needs."""
    d = x.shape[1]
    numbers = torch.arange(d)
    angles = (2 * math.pi / d * numbers[:, None] * numbers).to(x.dtype)
    real, imaginary = x @ angles.cos(), -(x @ angles.sin())
    j, k = torch.triu_indices(d, d)
    first = real[:, j] * real[:, k] - imaginary[:, j] * imaginary[:, k]
    second = real[:, j] * imaginary[:, k] + imaginary[:, j] * real[:, k]
    third, fourth = real[:, (j + k) % d], imaginary[:, (j + k) % d]
    return torch.cat([first * third + second * fourth, second * third - first * fourth], dim=-1)


def power_of_halves(x: Tensor) -> Tensor:
    return torch.cat([torch.fft.rfft(half).abs().square() for half in x.chunk(2, dim=-1)], dim=-1)


def in_order(x: Tensor) -> Tensor:
    return x.sort(dim=-1).values


def mean_and_variance(x: Tensor) -> Tensor:
    return torch.stack([x.mean(-1), x.var(-1)], dim=-1)


def gram(x: Tensor) -> Tensor:
    points = x.unflatten(-1, (-1, 3))
    first, second = torch.triu_indices(points.shape[1], points.shape[1])
    return (points @ points.mT)[:, first, second]


def length(x: Tensor) -> Tensor:
    return x.norm(dim=-1, keepdim=True)


def identity(x: Tensor) -> Tensor:
    return x


@cache
def random_matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@cache
def orthonormal(rows: int, columns: int) -> Tensor:
    return torch.linalg.qr(random_matrix(rows, columns, 1)).Q


def projection(x: Tensor) -> Tensor:
    """Three components."""
    return x @ orthonormal(x.shape[1], 3).to(x.dtype)


def random_network(x: Tensor) -> Tensor:
    d = x.shape[1]
    hidden = torch.tanh(x @ (random_matrix(d, 8 * d, 2) / math.sqrt(d)).to(x.dtype) + 0.3)
    return hidden @ (random_matrix(8 * d, d, 3) / math.sqrt(8 * d)).to(x.dtype)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def shifted_modulus(x: Tensor) -> Tensor:
    """Symmetric about a point that is not the origin."""
    return modulus(x - torch.linspace(-1, 1, x.shape[1], dtype=x.dtype))


class Planted(NamedTuple):
    function: Callable[[Tensor], Tensor]
    dimension: Callable[[int], int]
    """Dimension of the linear symmetries, for d features."""
    offsets: Callable[[int], int] = lambda d: 0


PLANTED = {
    "modulus": Planted(modulus, lambda d: (d - 1) // 2),
    "bispectrum": Planted(bispectrum, lambda d: 0),
    "power of halves": Planted(power_of_halves, lambda d: 2 * ((d // 2 - 1) // 2)),
    "sorted": Planted(in_order, lambda d: 0),
    "mean and variance": Planted(mean_and_variance, lambda d: (d - 1) * (d - 2) // 2),
    "Gram of points": Planted(gram, lambda d: 3),
    "length": Planted(length, lambda d: d * (d - 1) // 2),
    "raw": Planted(identity, lambda d: 0),
    "three components": Planted(projection, lambda d: d * (d - 3), lambda d: d - 3),
    "random network": Planted(random_network, lambda d: 0),
    "unit length": Planted(unit, lambda d: 1),
    "modulus about a point": Planted(shifted_modulus, lambda d: 0, lambda d: (d - 1) // 2),
}
