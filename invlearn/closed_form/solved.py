"""What one replica found."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from invlearn.closed_form.candidates import Candidate
from invlearn.closed_form.forms import Forms

__all__ = ["Solved"]


@dataclass(frozen=True)
class Solved:
    """The solution of one replica."""

    candidates: list[Candidate]
    """All that were tried."""
    chosen: int
    """Index of the best."""
    shares: Tensor
    """Share of variance within entities of the directions that the best one was cut from, ascending, ``(K,)``."""
    features: nn.Module
    """What they are directions of, a stack of one."""
    mean: Tensor
    """Of those features, ``(D,)``."""
    projection: Tensor
    """``(D, r)``; r is 0 where the code is of a frame."""
    frame: list[Tensor]
    """Subspaces, ``(D, w)`` each."""
    weight: Tensor
    """``(m, k)``."""
    bias: Tensor
    """``(k,)``."""
    draw: int = 0
    """Which of the features that were drawn."""
    forms: Forms | None = None
    """Of the frame's subspaces, where the code is made of such; then there are no projection and no lengths."""
    left_out: int = 0
    """Training samples that it was found without, since they do not agree with their entity."""

    @property
    def best(self) -> Candidate:
        """The candidate that was chosen."""
        return self.candidates[self.chosen]
