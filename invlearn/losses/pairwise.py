"""Learning the invariance from pairs (Section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invlearn.data import DrawnPairs, EntityBatch, EntityBatches, Pairs, Sampler
from invlearn.losses.functional import (
    example_pairs,
    invariance_loss,
    mean_over,
    pair_targets,
    reconstruction_error,
    squared_distances,
)
from invlearn.losses.loss import Loss, Outputs, Statistics

__all__ = ["PairwiseLoss"]


@dataclass(kw_only=True)
class PairwiseLoss(Loss):
    r"""Reconstruction of all samples, plus an invariance term on the distances of their invariant codes.

    .. math:: L = \mathrm{MSE}(x, \hat x) + λ \, \mathrm{mean}\, \ell(d^*, \lVert z_{inv} - z'_{inv} \rVert)

    with ℓ of equation (2), see :func:`invlearn.losses.functional.invariance_loss`.

    Args:
        weight: λ, the weight of the invariance term (8, given by the paper only in Section 3).
        delta: δ > 0 of equation (2).
        alpha: α > 0 of equation (2). ``auto`` is 0.4 over the mean d*² of different training pairs (ours): where
            α d̂² is large the loss is flat, and training stalls.
        alpha_growth: Factor by which α rises geometrically between 40% and 80% of training (ours). With a small α
            all distances count, and every part of the invariance is found. Only a large α penalises small remaining
            distances, on which ℓ depends as α² d̂⁴. ``auto`` is 30 if ``alpha`` is ``auto``, else 1.
        pairs: The pairs to train on. ``drawn``: the pairs that the dataset draws, half of them of one entity.
            ``batch``: all pairs of the samples in a batch of entities (ours), with half of the weight on same pairs;
            the dataset must have entities.

    Raises:
        ValueError: A setting is out of range.

    Reference:
        Zhang & Arodz, Section 5.
    """

    weight: float = 8.0
    delta: float = 1.0
    alpha: float | Literal["auto"] = "auto"
    alpha_growth: float | Literal["auto"] = "auto"
    pairs: Literal["drawn", "batch"] = "drawn"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sampler = EntityBatches() if self.pairs == "batch" else DrawnPairs()
        if self.alpha_growth == "auto":
            self.alpha_growth = 30.0 if self.alpha == "auto" else 1.0
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")
        if not self.delta > 0:
            raise ValueError(f"delta must be above 0, got {self.delta}")
        if self.alpha != "auto" and not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")
        if not self.alpha_growth > 0:
            raise ValueError(f"alpha_growth must be above 0, got {self.alpha_growth}")

    @property
    def validation(self) -> Sampler:
        """Pairs, for any training batches, so that runs can be compared."""
        return DrawnPairs()

    def fit(self, train: Pairs | EntityBatch) -> Statistics:
        """The initial α."""
        x, _, distance = example_pairs(*train) if isinstance(train, EntityBatch) else train
        if self.alpha == "auto":
            # With only one kind of pair there is no scale for α; 1 is the paper's plain form.
            return {"alpha": torch.nan_to_num(0.4 / mean_over(distance.square(), distance > 0), nan=1.0)}
        return {"alpha": torch.full((len(x),), self.alpha, dtype=x.dtype, device=x.device)}

    def at(self, progress: float, statistics: Statistics) -> Statistics:
        """α after a share ``progress`` of training."""
        assert self.alpha_growth != "auto"
        risen = min(1.0, max(0.0, (progress - 0.4) / 0.4))
        return {"alpha": statistics["alpha"] * self.alpha_growth**risen}

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - alpha is what at returns
        self, outputs: Outputs, batch: Pairs | EntityBatch, *, alpha: Tensor
    ) -> Tensor:
        """Reconstruction and λ times the invariance term, ``(R,)``, at an α ``(R,)``."""
        return self.terms(outputs, batch, alpha=alpha)["loss"]

    def terms(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, outputs: Outputs, batch: Pairs | EntityBatch, *, alpha: Tensor
    ) -> dict[str, Tensor]:
        """The total, and the invariance term as ``loss_invariance``."""
        reconstruction = reconstruction_error(outputs.x_hat, batch.arrange(batch.samples()))
        if isinstance(batch, Pairs):
            invariance = _of_drawn(outputs.z_invariant, batch, self.delta, alpha)
        else:
            invariance = _of_all(outputs.z_invariant, batch, self.delta, alpha)
        return {"loss": reconstruction + self.weight * invariance, "loss_invariance": invariance}


def _of_drawn(z: Tensor, batch: Pairs, delta: float, alpha: Tensor) -> Tensor:
    """Mean ℓ of drawn pairs, ``(R,)``."""
    code_distance_sq = (z[:, :, 0] - z[:, :, 1]).square().sum(-1)  # no root: its gradient at 0 would be infinite
    return invariance_loss(batch.distance.square(), code_distance_sq, delta, alpha[:, None]).mean(1)


def _of_all(z: Tensor, batch: EntityBatch, delta: float, alpha: Tensor) -> Tensor:
    """Mean ℓ of all pairs of samples of a batch, with equal weight for same and different pairs, ``(R,)``."""
    weights, distance_sq = pair_targets(batch.entity, batch.reference, z.shape[2])
    z = z.flatten(1, 2)
    code_distance_sq = squared_distances(z - z.mean(1, keepdim=True).detach())
    return (weights * invariance_loss(distance_sq, code_distance_sq, delta, alpha[:, None, None])).sum((1, 2))
