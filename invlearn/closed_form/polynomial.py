"""Polynomials of the samples themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from invlearn.closed_form.selected import Selected, variance_ratio
from invlearn.closed_form.settings import ClosedForm

__all__ = ["Polynomial"]

FEW = 64
"""Largest number of features of a sample that are all used by default."""

COUNTS = (32, 128, 512)
"""Numbers of features to choose, from at least four times as many."""


@dataclass(frozen=True, kw_only=True)
class Polynomial(ClosedForm):
    """Polynomials of a sample: complete for distortions that act linearly, such as shifts, rotations and permutations.

    If the true distances of different entities are given, lengths in invariant subspaces are fitted to them too.

    Args:
        complete: Whether to separate all samples that are not distorted versions of each other, including mirror
            images. This needs degree 3, and does not fit distances of different entities.
        select: Number of features of a sample to use, at least 1: those with the largest variance between entities
            relative to within. ``auto`` tries 32, 128, 512 and all if there are more than 64.
        degree: As in ``ClosedForm``, like the other arguments.

    Raises:
        ValueError: A setting is out of range, or ``complete`` is combined with another degree or with ``select``.
    """

    complete: bool = False
    select: int | Literal["auto"] = "auto"

    linear = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.select != "auto" and self.select < 1:
            raise ValueError(f"select must be at least 1, got {self.select}")
        if self.complete and self.degree not in ("auto", 3):
            raise ValueError(f"degree must be 3 with complete=true, got {self.degree}")
        if self.complete and self.select != "auto":
            raise ValueError(f"select must be auto with complete=true, got {self.select}")
        if self.complete:
            object.__setattr__(self, "degree", 3)

    @property
    def may_be_bounded(self) -> bool:
        """Whether ``normalize=auto`` tries to bound values, whose offset and scale a complete code would lose."""
        return not self.complete

    def feature_count(self, dim: int) -> int:
        """Number of features of a sample."""
        return dim

    def draw(self, x: Tensor, entity: Tensor, generator: torch.Generator) -> Iterable[nn.Module]:
        """The whole sample, then some of its features."""
        dim = x.shape[1]
        if dim <= FEW and self.select == "auto":
            return [nn.Identity()]
        counts = [dim, *(count for count in COUNTS if 4 * count <= dim)] if self.select == "auto" else [self.select]
        place = variance_ratio(x, entity).argsort(descending=True, stable=True).argsort()
        return [Selected((place < count).to(x)[None]) for count in counts]

    def restore(self, parameters: Mapping[str, Tensor]) -> nn.Module:
        """The whole sample, or its chosen features."""
        return Selected(parameters["mask"]) if parameters else nn.Identity()
