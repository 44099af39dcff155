"""Learning the invariance from pairs (Section 5)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from invlearn.data import Dataset, Grouped, Pairs, Split
from invlearn.evaluation import metrics
from invlearn.losses.groups import invariance_of_groups, pairs_of_groups
from invlearn.losses.loss import Examples, Loss, Outputs, Statistics
from invlearn.nn import AutoEncoder

__all__ = ["PairwiseLoss"]


class PairwiseLoss(Loss):
    r"""Reconstruction of both samples, plus an invariance term on the distance of their invariant codes.

    .. math:: L = \mathrm{MSE}(x, \hat x) + λ \, \mathrm{mean}\, \ell(d^*, \lVert z_{inv} - z'_{inv} \rVert)

    with ℓ of equation (2), see :func:`invlearn.evaluation.metrics.invariance_loss`.

    Args:
        dim: Number of features d of a sample.
        weight: λ, the weight of the invariance term (8, which the paper gives in Section 3 only).
        delta: δ > 0 of equation (2).
        alpha: α > 0 of equation (2). ``auto`` is 0.4 over the mean d*² of different training pairs (ours): where
            α d̂² is large the loss is flat, and training stalls.
        alpha_growth: Factor by which α rises, geometrically, between 40% and 80% of the training (ours). At a small α
            all distances count, and every part of the invariance is found; only a large one punishes the last small
            distances, on which ℓ depends as α² d̂⁴. ``auto`` is 30 where ``alpha`` is ``auto``, else 1.
        invariant: Features of the invariant part of the code; ``auto`` is d.
        variant: Features of the rest of the code; ``auto`` is 2d.
        pairs: What training compares. ``drawn``: the pairs that the dataset draws, half of them of one entity.
            ``batch``: all pairs of the samples in a batch of entities (ours), same and different pairs weighing half
            each; the dataset must know more of an entity than a pair.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        dim: int,
        *,
        weight: float = 8.0,
        delta: float = 1.0,
        alpha: float | Literal["auto"] = "auto",
        alpha_growth: float | Literal["auto"] = "auto",
        invariant: int | Literal["auto"] = "auto",
        variant: int | Literal["auto"] = "auto",
        pairs: Literal["drawn", "batch"] = "drawn",
    ):
        self.weight = weight
        self.delta = delta
        self.alpha: float | Literal["auto"] = alpha
        self.alpha_growth: float = (30.0 if alpha == "auto" else 1.0) if alpha_growth == "auto" else alpha_growth
        self.invariant: int = dim if invariant == "auto" else invariant
        self.variant: int = 2 * dim if variant == "auto" else variant
        self.pairs: Literal["drawn", "batch"] = pairs
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}")
        if not self.delta > 0:
            raise ValueError(f"delta must be above 0, got {delta}")
        if alpha != "auto" and not alpha > 0:
            raise ValueError(f"alpha must be above 0, got {alpha}")
        if not self.alpha_growth > 0:
            raise ValueError(f"alpha_growth must be above 0, got {alpha_growth}")
        if self.invariant < 1:
            raise ValueError(f"invariant must be at least 1, got {invariant}")
        if self.variant < 0:
            raise ValueError(f"variant must be at least 0, got {variant}")

    @property
    def batch_size(self) -> int:
        """Pairs of a step, or few entities where all their pairs count: large batches are learned by heart."""
        return 16 if self.pairs == "batch" else super().batch_size

    @property
    def unit(self) -> str:
        """Pairs, or entities with some samples each, of which all pairs count."""
        return "entities" if self.pairs == "batch" else super().unit

    @property
    def smallest_batch(self) -> int:
        """Two entities, where different pairs are among the entities of a batch."""
        return 2 if self.pairs == "batch" else super().smallest_batch

    def examples_per_epoch(self, dataset: Dataset) -> int:
        """Pairs, or groups for ``pairs="batch"``."""
        if self.pairs == "drawn":
            return dataset.size
        assert isinstance(dataset, Grouped)
        return dataset.group_count

    @property
    def code_features(self) -> int:
        """Width of the code: the invariant part, then the variant part."""
        return self.invariant + self.variant

    @property
    def invariant_features(self) -> int:
        """Width of the invariant part, the first features of the code."""
        return self.invariant

    def check(self, dataset: Dataset) -> None:
        """Refuse to compare whole batches where nothing but pairs is known.

        Raises:
            ValueError: ``pairs`` is ``batch``, and the dataset cannot give groups.
        """
        if self.pairs == "batch" and not isinstance(dataset, Grouped):
            raise ValueError("pairs must be drawn for this dataset, which knows pairs and no entities; got batch")
        if self.pairs == "batch" and getattr(dataset, "distance", None) == "orbit":
            raise ValueError("pairs must be drawn where dataset.distance=orbit; got batch")

    def draw(self, dataset: Dataset, split: Split, seed: int) -> Pairs:
        """Pairs of the dataset."""
        return dataset.pairs(split, seed)

    def draw_training(self, dataset: Dataset, split: Split, seed: int) -> Examples:
        """Pairs, or groups for ``pairs="batch"``."""
        if self.pairs == "drawn":
            return dataset.pairs(split, seed)
        assert isinstance(dataset, Grouped)
        return dataset.groups(split, seed)

    def fit(self, train: Examples) -> Statistics:
        """The first α, and what constants need: the mean sample, and mean closeness at α = 1 and at the last α."""
        x, x_prime, distance = pairs_of_groups(*train) if self.pairs == "batch" else train
        squared = distance.square()
        if self.alpha == "auto":
            # Data of one kind of pair only has no scale to set α by; 1 is the paper's plain form.
            alpha = torch.nan_to_num(0.4 / metrics.mean_over(squared, distance > 0), nan=1.0)
        else:
            alpha = torch.full((len(x),), self.alpha, dtype=x.dtype, device=x.device)
        final = alpha[:, None] * self.alpha_growth
        return {
            "alpha": alpha,
            "mean_sample": (x.mean(1) + x_prime.mean(1)) / 2,
            "mean_closeness": metrics.closeness(squared, 1.0, 1.0).mean(1),
            "mean_closeness_trained": metrics.closeness(squared, self.delta, final).mean(1),
        }

    def at(self, progress: float, statistics: Statistics) -> Statistics:
        """α as far as it has risen after a share ``progress`` of the training."""
        risen = min(1.0, max(0.0, (progress - 0.4) / 0.4))
        return {**statistics, "alpha": statistics["alpha"] * self.alpha_growth**risen}

    def forward(self, model: AutoEncoder, batch: Examples) -> Outputs:
        """Squared reconstruction error of each pair ``(R, B)``, and both invariant codes ``(R, B, invariant)``."""
        both = torch.cat([batch[0], batch[1]], dim=1)
        z = model.encode(both)
        squared = (model.decode(z) - both).square().mean(-1)
        of_x, of_x_prime = squared.chunk(2, dim=1)
        z_inv, z_inv_prime = z[..., : self.invariant].chunk(2, dim=1)
        return (of_x + of_x_prime) / 2, z_inv, z_inv_prime

    def terms(self, outputs: Outputs, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """Total, reconstruction and invariance term, ``(R,)`` each."""
        reconstruction = outputs[0].mean(1)
        invariance = self._invariance(outputs, examples, self.delta, statistics["alpha"][:, None])
        return {"loss": reconstruction + self.weight * invariance, "loss_invariance": invariance}

    def training_terms(self, model: AutoEncoder, batch: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """Total, reconstruction and invariance term of a batch of pairs or of groups, ``(R,)`` each."""
        if self.pairs == "drawn":
            return super().training_terms(model, batch, statistics)
        x, entity, reference = batch
        samples = x.flatten(1, 2)
        z = model.encode(samples)
        reconstruction = metrics.mean_squared_error(model.decode(z), samples)
        z_inv = z[..., : self.invariant].unflatten(1, x.shape[1:3])
        invariance = invariance_of_groups(z_inv, entity, reference, self.delta, statistics["alpha"][:, None])
        return {"loss": reconstruction + self.weight * invariance, "loss_invariance": invariance}

    def errors(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """Mean squared reconstruction error, and mean ℓ at δ = α = 1 so that runs compare, ``(R,)`` each."""
        return {
            "mse_reconstruction": outputs[0].mean(1),
            "mse_invariance": self._invariance(outputs, examples, 1.0, 1.0),
        }

    def evaluate(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """What the code distances of held-out pairs tell, ``(R,)`` each."""
        _, z_inv, z_inv_prime = outputs
        distance = examples[2].expand(len(z_inv), -1)
        same = distance == 0
        code_distance = metrics.code_distance(z_inv, z_inv_prime)
        per_pair = metrics.invariance_loss(distance.square(), code_distance.square(), 1.0, 1.0)
        return {
            "mse_invariance_same": metrics.mean_over(per_pair, same),
            "mse_invariance_different": metrics.mean_over(per_pair, ~same),
            "invariance_ratio": metrics.invariance_ratio(code_distance, same),
            "auroc": metrics.auroc(code_distance, same),
            "distance_spearman": metrics.distance_spearman(code_distance, distance),
            "collapsed": metrics.collapsed(code_distance, distance),
        }

    def constants(self, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """What the mean training sample and the best single d̂ get, ``(R,)`` each."""
        x, x_prime, distance = examples
        both = torch.cat([x, x_prime], dim=1)
        of_one = (metrics.closeness(distance.square(), 1.0, 1.0) - statistics["mean_closeness"][:, None]).square()
        trained = metrics.closeness(distance.square(), self.delta, statistics["alpha"][:, None])
        return {
            "mse_reconstruction": metrics.mean_squared_error(statistics["mean_sample"][:, None], both),
            "mse_invariance": of_one.mean(1),
            "mse_invariance_same": metrics.mean_over(of_one, distance == 0),
            "mse_invariance_different": metrics.mean_over(of_one, distance > 0),
            "loss_invariance": (trained - statistics["mean_closeness_trained"][:, None]).square().mean(1),
        }

    def _invariance(self, outputs: Outputs, examples: Examples, delta: Tensor | float, alpha: Tensor | float) -> Tensor:
        _, z_inv, z_inv_prime = outputs
        code_distance_sq = (z_inv - z_inv_prime).square().sum(-1)  # no root: its gradient at 0 would be infinite
        return metrics.invariance_loss(examples[2].square(), code_distance_sq, delta, alpha).mean(1)
