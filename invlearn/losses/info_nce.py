"""The InfoNCE loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data import EntityBatch, EntityBatches
from invlearn.losses.loss import Loss, Outputs

__all__ = ["InfoNCELoss"]


@dataclass(kw_only=True)
class InfoNCELoss(Loss):
    r"""Identifies each sample's partner among the samples of other entities in a batch (NT-Xent); codes have length 1.

    .. math:: L = -\mathrm{mean}_{same (i, j)} \log \frac{e^{z_i z_j / τ}}{e^{z_i z_j / τ} + \sum_k e^{z_i z_k / τ}}

    where k runs over the samples of other entities. There is no reconstruction.

    Args:
        temperature: τ > 0.

    Reference:
        van den Oord, Li, Vinyals, https://arxiv.org/abs/1807.03748; Chen et al., https://arxiv.org/abs/2002.05709
    """

    temperature: float = 0.1
    trains_decoder = False
    unit_code = True
    sampler = EntityBatches()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def forward(self, outputs: Outputs, batch: EntityBatch) -> Tensor:
        """The loss of each replica, ``(R,)``."""
        z = outputs.z_invariant.flatten(1, 2)
        similarity, same = z @ z.mT / self.temperature, batch.same_pairs()
        least = torch.finfo(similarity.dtype).min  # not -inf: a sample without others would have no gradient
        others = similarity.masked_fill(~batch.different_pairs(), least).logsumexp(-1, keepdim=True)
        loss = torch.logaddexp(similarity, others) - similarity
        return (loss * same).sum((1, 2)) / same.sum((1, 2))
