"""Polynomials of the samples themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invlearn.closed_form.settings import ClosedForm

__all__ = ["Polynomial"]


@dataclass(frozen=True, kw_only=True)
class Polynomial(ClosedForm):
    """Polynomials of a sample: complete for distortions that act linearly, as shifts, rotations and permutations do.

    Where the true distances of different entities are given, lengths in the subspaces that the distortion keeps are
    fitted to them too.

    Args:
        degree: As in ``ClosedForm``, and so are the others.
    """

    linear = True

    def feature_count(self, dim: int) -> int:
        """How many features a sample has."""
        return dim

    def draw(self, x: Tensor, generator: torch.Generator) -> Iterable[nn.Module]:
        """The sample as it is."""
        return [nn.Identity()]

    def restore(self, parameters: Mapping[str, Tensor]) -> nn.Module:
        """The sample as it is."""
        return nn.Identity()
