"""The triplet loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invlearn.data import EntityBatch, EntityBatches
from invlearn.losses.functional import squared_distances
from invlearn.losses.loss import Loss, Outputs


@dataclass(kw_only=True)
class TripletLoss(Loss):
    """The farthest sample of the same entity must be nearer than the nearest of another, by a margin.

    Args:
        margin: By how much.

    Reference:
        Hermans, Beyer, Leibe, https://arxiv.org/abs/1703.07737
    """

    margin: float = 0.5
    trains_decoder = False
    unit_code = True
    sampler = EntityBatches()

    def forward(self, outputs: Outputs, batch: EntityBatch) -> Tensor:
        """The loss of each replica, ``(R,)``."""
        distance = squared_distances(outputs.z_invariant.flatten(1, 2))
        farthest = distance.masked_fill(~batch.same_pairs(), 0).amax(-1)
        nearest = distance.masked_fill(~batch.different_pairs(), float("inf")).amin(-1)
        return (farthest - nearest + self.margin).relu().mean(1)
