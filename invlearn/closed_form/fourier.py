"""Random Fourier features, for small nonlinear distortions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from invlearn.closed_form.settings import ClosedForm

__all__ = ["Fourier", "Waves"]

WIDTHS = (0.5, 1.0, 2.0, 4.0)
"""Widths to try, relative to the median distance of samples."""

COMPARED = 1_000
"""Number of samples for that median."""


@dataclass(frozen=True, kw_only=True)
class Fourier(ClosedForm):
    """Random waves over the samples: any smooth code.

    Args:
        degree: Largest degree of a monomial of the features, 1 to 3.
        features: Number of waves, at least 1.
        width: σ, the length scale on which a code may change, in units of the scaled samples, above 0.

    Reference:
        Rahimi and Recht, "Random features for large-scale kernel machines" (2007).
    """

    degree: Literal["auto", 1, 2, 3] = 1
    features: int = 1024
    width: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 1:
            raise ValueError(f"features must be at least 1, got {self.features}")
        if self.width != "auto" and self.width <= 0:
            raise ValueError(f"width must be above 0, got {self.width}")

    def feature_count(self, dim: int) -> int:
        """Number of features of a sample."""
        return self.features

    def draw(self, x: Tensor, entity: Tensor, generator: torch.Generator) -> Iterable[nn.Module]:
        """The same waves at each width."""
        new = {"generator": generator, "dtype": torch.float64}
        frequencies = torch.randn(1, x.shape[1], self.features, **new).to(x.device)
        phases = (2 * math.pi * torch.rand(1, self.features, **new)).to(x.device)
        if self.width != "auto":
            widths = [self.width]
        else:
            some = x[torch.randperm(len(x), generator=generator)[:COMPARED].to(x.device)]
            median = float(torch.pdist(some).median()) or 1.0
            widths = [median * width for width in WIDTHS]
        return [Waves(frequencies / width, phases) for width in widths]

    def restore(self, parameters: Mapping[str, Tensor]) -> nn.Module:
        """The waves with these parameters."""
        return Waves(parameters["frequencies"], parameters["phases"])


class Waves(nn.Module):
    r"""Waves :math:`\cos(x \cdot w + b)` over the samples.

    Args:
        frequencies: w, ``(R, d, D)``.
        phases: b, ``(R, D)``.
    """

    def __init__(self, frequencies: Tensor, phases: Tensor):
        super().__init__()
        self.frequencies, self.phases = nn.Parameter(frequencies), nn.Parameter(phases)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, d)`` to ``(R, B, D)``."""
        return torch.cos(x @ self.frequencies + self.phases[:, None])

    def extra_repr(self) -> str:
        """Its sizes."""
        return "{1}, {2}".format(*self.frequencies.shape)
