"""The loss of bispectral networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data import EntityBatch, EntityBatches
from invlearn.losses.functional import reconstruction_error
from invlearn.losses.loss import Loss, Outputs
from invlearn.nn.bispectral import bispectral_features

__all__ = ["BispectralLoss"]


@dataclass(kw_only=True)
class BispectralLoss(Loss):
    r"""Pulls codes of one entity together; only the reconstruction keeps those of different entities apart.

    .. math:: L = \mathrm{mean}_{same} \lVert z_{inv} - z'_{inv} \rVert + γ \, \mathrm{MSE}(x, \hat x)

    With a bispectral network the second term is small where W is unitary, and so injective.

    Args:
        invariant: As in ``Loss``; ``auto`` is d (d + 1), the width of a bispectral code.
        weight: γ, at least 0; the authors use 150.

    Raises:
        ValueError: ``weight`` is negative.

    Reference:
        Sanborn, Shewmake, Olshausen and Hillar, "Bispectral neural networks", ICLR 2023.
    """

    weight: float = 150.0
    sampler = EntityBatches()

    def __post_init__(self) -> None:
        if self.invariant == "auto":
            self.invariant = bispectral_features(self.dim)
        super().__post_init__()
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")

    def forward(self, outputs: Outputs, batch: EntityBatch) -> Tensor:
        """The loss of each replica, ``(R,)``."""
        samples = outputs.z_invariant.shape[2]
        first, second = torch.triu_indices(samples, samples, 1, device=outputs.z.device)
        apart = outputs.z_invariant[:, :, first] - outputs.z_invariant[:, :, second]
        same = torch.linalg.vector_norm(apart, dim=-1).mean((1, 2))
        return same + self.weight * reconstruction_error(outputs.x_hat, batch.x)
