"""Random convolutions, for series of hundreds to thousands of points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from invlearn.closed_form.settings import ClosedForm

__all__ = ["Convolution", "Convolutions"]

LENGTH = 9
"""Points of a kernel."""

BOUNDS = 4
"""Bounds of each kernel; each gives one feature."""

BLOCK = 2**14
"""Numbers of series processed at a time."""

SOFTNESS = 0.05
"""Width of a bound, relative to the deviation of responses, so that rounding errors hardly matter."""


@dataclass(frozen=True, kw_only=True)
class Convolution(ClosedForm):
    """How often random kernels respond in a series, regardless of the position.

    Args:
        degree: Largest degree of a monomial of the features, 1 to 3.
        kernels: Number of kernels, at least 1; each gives four features.
        channels: Number of series in a sample, one after the other, at least 1.

    Reference:
        Dempster, Petitjean and Webb, "ROCKET" (2020) and "MiniRocket" (2021).
    """

    degree: Literal["auto", 1, 2, 3] = 1
    kernels: int = 500
    channels: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernels", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def check(self, dim: int) -> None:
        """Refuse samples whose series are too short for a kernel, or not whole.

        Raises:
            ValueError: It says why.
        """
        if dim % self.channels:
            raise ValueError(f"channels={self.channels} must divide the {dim:,} features of a sample")
        if dim // self.channels < LENGTH:
            raise ValueError(f"series must have at least {LENGTH} points, got {dim // self.channels}")

    def feature_count(self, dim: int) -> int:
        """Number of features of a sample."""
        return BOUNDS * self.kernels

    def draw(self, x: Tensor, entity: Tensor, generator: torch.Generator) -> Iterable[nn.Module]:
        """One set of kernels; their bounds are quantiles of the responses of training samples."""
        new = {"generator": generator, "dtype": torch.float64}
        kernels = torch.randn(self.kernels, self.channels, LENGTH, **new)
        kernels = kernels - kernels.mean(-1, keepdim=True)
        # A kernel uses some of the channels; every number of them is equally likely.
        most = torch.rand(self.kernels, 1, **new)
        order = torch.rand(self.kernels, self.channels, **new).argsort(1).argsort(1)
        kernels = kernels * (order < self.channels**most)[:, :, None]
        quantiles = (torch.arange(BOUNDS) + torch.rand(self.kernels, BOUNDS, **new)) / BOUNDS
        samples = torch.randint(len(x), (self.kernels,), generator=generator).to(x.device)
        series = x[samples].view(self.kernels, 1, self.channels, -1)
        kernels, quantiles = kernels.to(x.device), quantiles.to(x.device)
        found = torch.cat(
            [
                convolved(series[part], kernels[part, None], dilation)[:, 0, 0]
                for dilation, part in _dilations(self.kernels, series.shape[-1])
            ]
        )
        bounds = torch.stack([torch.quantile(one, at) for one, at in zip(found, quantiles, strict=True)])
        deviation = found.std(-1, correction=0)
        softness = SOFTNESS * torch.where(deviation > 0, deviation, 1.0)
        return [Convolutions(kernels[None], bounds[None], softness[None])]

    def restore(self, parameters: Mapping[str, Tensor]) -> nn.Module:
        """The convolutions with these parameters."""
        return Convolutions(*(parameters[name] for name in ("kernels", "bounds", "softness")))


class Convolutions(nn.Module):
    r"""Shares of a series in which the response to a kernel lies above a bound.

    .. math:: f_{kb}(x) = \overline{h((w_k *_δ x - β_{kb}) / σ_k)}, \quad h(t) = \min(\max(t + 1/2, 0), 1)

    The first kernels have dilation 1, the next ones 2, and so on by powers of 2 up to the whole series.

    Args:
        kernels: w, ``(R, K, C, 9)``.
        bounds: β, ``(R, K, 4)``.
        softness: σ, ``(R, K)``.
    """

    def __init__(self, kernels: Tensor, bounds: Tensor, softness: Tensor):
        super().__init__()
        self.kernels, self.bounds, self.softness = (nn.Parameter(part) for part in (kernels, bounds, softness))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, C L)`` to ``(R, B, 4 K)``."""
        if torch.compiler.is_exporting():
            return self.shares(x)
        # Pairs contain a series many times, and a few series at a time fit into the processor's cache.
        distinct, index = torch.unique(x, dim=1, return_inverse=True)
        rows = max(1, BLOCK // (len(x) * x.shape[2]))
        return torch.cat([self.shares(part) for part in distinct.split(rows, dim=1)], dim=1)[:, index]

    def shares(self, x: Tensor) -> Tensor:
        """The same, all series at once."""
        replicas, rows, _ = x.shape
        count, channels = self.kernels.shape[1:3]
        series = x.reshape(replicas, rows, channels, -1)
        found = []
        for dilation, part in _dilations(count, series.shape[-1]):
            softness = self.softness[:, part, None]
            response = convolved(series, self.kernels[:, part] / softness[..., None], dilation)
            bounds = (self.bounds[:, part] / softness - 0.5)[:, None, :, None]
            shares = [(response - bounds[..., index]).clamp_(0, 1).mean(-1) for index in range(BOUNDS)]
            found.append(torch.stack(shares, dim=-1).flatten(2))
        return torch.cat(found, dim=-1)

    def extra_repr(self) -> str:
        """Its sizes."""
        return "{1} kernels of {3} points, {2} channels".format(*self.kernels.shape)


def convolved(series: Tensor, kernels: Tensor, dilation: int) -> Tensor:
    """Responses of zero-padded series ``(R, B, C, L)`` to kernels ``(R, K, C, 9)``, ``(R, B, K, L)``."""
    replicas, rows, channels, length = series.shape
    stacked = series.transpose(0, 1).reshape(rows, replicas * channels, length)
    padding = LENGTH // 2 * dilation
    found = conv1d(stacked, kernels.flatten(0, 1), padding=padding, dilation=dilation, groups=replicas)
    return found.view(rows, replicas, -1, length).transpose(0, 1)


def _dilations(kernels: int, length: int) -> list[tuple[int, slice]]:
    """Dilations, and the kernels of each."""
    count = min(kernels, int(math.log2((length - 1) / (LENGTH - 1))) + 1)
    ends = [kernels * (power + 1) // count for power in range(count)]
    return [(2**power, slice(start, end)) for power, (start, end) in enumerate(pairwise([0, *ends]))]
