"""The contrastive loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invlearn.data import EntityBatch, EntityBatches
from invlearn.losses.functional import squared_distances
from invlearn.losses.loss import Loss, Outputs

__all__ = ["ContrastiveLoss"]


@dataclass(kw_only=True)
class ContrastiveLoss(Loss):
    r"""Pulls samples of one entity together, and pushes others apart up to a margin; codes have length 1.

    .. math:: L = \mathrm{mean}_{same} \, d + \mathrm{mean}_{different} \, \max(0, m - d)

    over the pairs of a batch of entities with a positive term. There is no reconstruction.

    Args:
        margin: m > 0, the distance beyond which different samples have no loss.

    Reference:
        Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006,
        http://yann.lecun.com/exdb/publis/pdf/hadsell-chopra-lecun-06.pdf
    """

    margin: float = 1.0
    trains_decoder = False
    unit_code = True
    sampler = EntityBatches()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.margin > 0:
            raise ValueError(f"margin must be above 0, got {self.margin}")

    def forward(self, outputs: Outputs, batch: EntityBatch) -> Tensor:
        """The loss of each replica, ``(R,)``."""
        z = outputs.z_invariant.flatten(1, 2)
        distance = squared_distances(z).clamp(min=1e-12).sqrt()  # the root's gradient at 0 is infinite
        pulls = distance * batch.same_pairs()
        pushes = (self.margin - distance).relu() * batch.different_pairs()
        return _mean_of_positive(pulls) + _mean_of_positive(pushes)


def _mean_of_positive(values: Tensor) -> Tensor:
    return values.sum((1, 2)) / (values > 0).sum((1, 2)).clamp(min=1)
