"""The objective of closed forms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invlearn.data import Pairs
from invlearn.losses.functional import mean_over
from invlearn.losses.loss import Loss, Outputs

__all__ = ["Separation"]


@dataclass(kw_only=True)
class Separation(Loss):
    r"""Mean squared code distance of same pairs over that of different pairs, which the eigenproblem minimises.

    .. math:: L = \overline{\lVert z - z' \rVert^2}_{same} / \overline{\lVert z - z' \rVert^2}_{different}

    It is not trained by gradients: a closed form minimises it exactly over its features.
    """

    trains_decoder = False

    def forward(self, outputs: Outputs, batch: Pairs) -> Tensor:
        """The ratio of each replica, ``(R,)``: 0 is ideal, 1 means no invariance."""
        squared = (outputs.z_invariant[:, :, 0] - outputs.z_invariant[:, :, 1]).square().sum(-1)
        same = (batch.distance == 0).expand_as(squared)
        return mean_over(squared, same) / mean_over(squared, ~same)
