"""Fill missing values of a sample from its other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Gaps"]

STEPS = 24
"""Maximal number of conjugate gradient steps; exact for up to 23 missing values, or as many factors."""

SPARE = 2
"""Steps more than exact arithmetic would need: rounding errors cost up to 1e-5 without them, and 1e-8 with them."""

ENOUGH = {torch.float64: 1e-20, torch.float32: 1e-12}
"""Share of the squared residual that is below rounding errors, in the codes or in single precision."""

TINY = {torch.float64: 1e-300, torch.float32: 1e-36}
"""Replaces a divisor of 0 once a solution is exact."""


class Gaps(nn.Module):
    r"""Replaces each NaN of a sample by its mean given the sample's other values, under a Gaussian of few factors.

    .. math:: x = c + W f + e, \quad f \sim N(0, I), \quad e \sim N(0, V), \quad V = \operatorname{diag}(s^2)

    With indices o of observed and m of missing values, :math:`x_m = c_m + W_m f`, where f solves
    :math:`(I + W_o^T V_o^{-1} W_o) f = W_o^T V_o^{-1} (x_o - c_o)`. Conjugate gradients solve this for all rows at
    once, with the same few products for every pattern of gaps, so they can be exported.

    Args:
        centre: c, ``(d,)``.
        factors: W, ``(d, r)``, such that :math:`W^T V^{-1} W` is diagonal; with r = 0 gaps are filled with c.
        noise: s, above 0, ``(d,)``.

    Example:
        >>> gaps = Gaps(torch.zeros(2), torch.tensor([[1.0], [2.0]]), torch.full((2,), 1e-3))
        >>> gaps(torch.tensor([[1.0, torch.nan], [3.0, 5.0]])).round(decimals=3)
        tensor([[1., 2.],
                [3., 5.]])
    """

    centre: Tensor
    factors: Tensor
    noise: Tensor

    def __init__(self, centre: Tensor, factors: Tensor, noise: Tensor):
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("factors", factors)
        self.register_buffer("noise", noise)

    @classmethod
    def stored_in(cls, contents: Mapping[str, Any], dim: int, device: torch.device | str) -> Gaps | None:
        """The gaps of a checkpoint; None if it has none, because the run refuses gaps.

        Args:
            contents: Contents of the checkpoint.
            dim: Features d.
            device: Device of the module.

        Raises:
            KeyError: A part is missing.
            ValueError: A part is not finite, or does not fit.
        """
        stored = contents.get("gaps")
        if stored is None:
            return None
        centre, factors, noise = (stored[name] for name in ("centre", "factors", "noise"))
        for part in (centre, factors, noise):
            if not (isinstance(part, Tensor) and part.dtype == torch.float32 and bool(torch.isfinite(part).all())):
                raise ValueError("gaps are not as invlearn writes them")
        shapes = [centre.shape, factors.shape[:1], noise.shape]
        if shapes != [(dim,)] * 3 or factors.ndim != 2 or factors.shape[1] > dim or not bool((noise > 0).all()):
            raise ValueError(f"gaps do not fit {dim} features")
        return cls(centre, factors, noise).to(device)

    def forward(self, x: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """Fill samples ``(n, d)``; observed values are unchanged, to the bit.

        Args:
            x: NaN where a value is missing.
            dtype: Type to compute in; ``float32`` takes a quarter of the time with many features, and is exact to about
                1e-5 of a standard deviation. Where it overflows, ``float64`` is used.
        """
        missing = torch.isnan(x)
        if torch.compiler.is_compiling():  # an export, which has no branches
            return self._filled(x, missing, dtype)
        rows = missing.any(dim=1)
        if not bool(rows.any()):
            return x
        filled = x.clone()
        filled[rows] = self._filled(x[rows], missing[rows], dtype)
        if dtype != torch.float64 and bool((overflown := ~torch.isfinite(filled).all(dim=1) & rows).any()):
            filled[overflown] = self._filled(x[overflown], missing[overflown], torch.float64)
        return filled

    def drawn(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Fill samples ``(n, d)`` by draws from the Gaussian, so that their covariance is that of complete samples."""
        missing = torch.isnan(x)
        factors = self.factors.to(x.dtype)
        # Unlike the factors, this root depends continuously on rounding errors.
        root = torch.linalg.cholesky(factors @ factors.T + torch.diag(self.noise.to(x.dtype).square()))
        other = self.centre.to(x.dtype) + torch.randn(x.shape, generator=generator, dtype=x.dtype) @ root.T
        # A draw differs from its conditional mean as the missing values do from theirs (Matheron's rule).
        error = other - self(torch.where(missing, torch.nan, other))
        return self(x) + torch.where(missing, error, 0.0)

    def _filled(self, x: Tensor, missing: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.where(missing, self._means(x.to(dtype), missing).to(x.dtype), x)

    def _means(self, x: Tensor, missing: Tensor) -> Tensor:
        """The mean of every value given the observed ones, ``(n, d)``."""
        centre, factors, noise = (part.to(x.dtype) for part in (self.centre, self.factors, self.noise))
        tiny = TINY[x.dtype]
        if not factors.shape[1]:
            return centre.expand_as(x)
        there = (~missing).to(x.dtype)
        weighted = factors / noise.square()[:, None]
        # Without gaps, the matrix is this diagonal.
        diagonal = 1 + (factors * weighted).sum(0)
        residual = torch.where(missing, 0.0, x - centre) @ weighted
        found = torch.zeros_like(residual)
        scaled = residual / diagonal
        direction, size = scaled, (residual * scaled).sum(1, keepdim=True)
        enough = ENOUGH[x.dtype] * size.clamp(min=tiny)
        for _ in range(min(STEPS, factors.shape[1] + 1 + SPARE)):
            if not torch.compiler.is_compiling() and bool((size <= enough).all()):
                break
            image = direction + ((direction @ factors.T) * there) @ weighted
            length = size / (direction * image).sum(1, keepdim=True).clamp(min=tiny)
            found = found + length * direction
            residual = residual - length * image
            scaled = residual / diagonal
            before, size = size, (residual * scaled).sum(1, keepdim=True)
            direction = scaled + size / before.clamp(min=tiny) * direction
        return centre + found @ factors.T

    def extra_repr(self) -> str:
        """Features and factors."""
        return f"{self.factors.shape[0]}, factors={self.factors.shape[1]}"
