"""The solution of one replica."""

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
    """All candidates that were tried."""
    chosen: int
    """Index of the best candidate."""
    shares: Tensor
    """Share of variance within entities of all directions, the first of which are the code, ascending, ``(K,)``."""
    features: nn.Module
    """The features of samples, a stack of one."""
    mean: Tensor
    """Mean of those features, ``(D,)``."""
    projection: Tensor
    """``(D, r)``; r is 0 if the code uses a frame."""
    frame: list[Tensor]
    """Subspaces, ``(D, w)`` each."""
    weight: Tensor
    """``(m, k)``."""
    bias: Tensor
    """``(k,)``."""
    draw: int = 0
    """Index of the features among the drawn ones."""
    forms: Forms | None = None
    """Forms of subspaces, if the code consists of them; then there are no projection and no lengths."""
    exact: bool = False
    """Whether the code is of exactly invariant subspaces, so that no sample disagrees with its entity."""
    left_out: int = 0
    """Number of training samples left out because they do not agree with their entity."""

    @property
    def best(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[self.chosen]
