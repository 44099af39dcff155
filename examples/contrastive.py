"""The contrastive loss of pytorch-metric-learning, on all pairs of a batch of entities, as a loss of invlearn's."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import ContrastiveLoss as MetricLearningLoss
from torch import Tensor

from invlearn.data import Dataset, Grouped, Pairs, Split
from invlearn.evaluation.metrics import code_distance
from invlearn.losses import Examples, Loss, Outputs, Statistics
from invlearn.nn import AutoEncoder

__all__ = ["ContrastiveLoss"]


class ContrastiveLoss(Loss):
    """Same pairs are drawn together, different ones pushed apart up to a margin; nothing is reconstructed.

    Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping".

    Args:
        dim: Number of features d of a sample, and of the code.
        margin: How far apart different samples are to be.
    """

    def __init__(self, dim: int, *, margin: float = 1.0):
        self.dim, self.margin = dim, margin
        self.of_batch = MetricLearningLoss(pos_margin=0, neg_margin=margin)

    @property
    def trains_decoder(self) -> bool:
        """It does not."""
        return False

    @property
    def code_features(self) -> int:
        """All of the code is invariant."""
        return self.dim

    @property
    def invariant_features(self) -> int:
        """All of it."""
        return self.dim

    def examples_per_epoch(self, dataset: Dataset) -> int:
        """Groups."""
        assert isinstance(dataset, Grouped)
        return dataset.group_count

    def draw(self, dataset: Dataset, split: Split, seed: int) -> Pairs:
        """Pairs, to choose the best epoch by."""
        return dataset.pairs(split, seed)

    def draw_training(self, dataset: Dataset, split: Split, seed: int) -> Examples:
        """Groups."""
        assert isinstance(dataset, Grouped)
        return dataset.groups(split, seed)

    def fit(self, train: Examples) -> Statistics:
        """Nothing has to be known."""
        return {}

    def training_terms(self, model: AutoEncoder, batch: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """The loss of pytorch-metric-learning, ``(1,)``; it knows no replicas."""
        x, entity, _ = batch
        (z,), k = model.encode(x.flatten(1, 2)), x.shape[2]
        return {"loss": self.of_batch(z, entity[0].repeat_interleave(k))[None]}

    def forward(self, model: AutoEncoder, batch: Examples) -> Outputs:
        """Codes of both samples."""
        return model.encode(batch[0]), model.encode(batch[1])

    def terms(self, outputs: Outputs, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """The same loss over drawn pairs."""
        distance = code_distance(*outputs)
        return {"loss": torch.where(examples[2] == 0, distance, (self.margin - distance).relu()).mean(1)}

    def errors(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """None."""
        return {}

    def evaluate(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """None."""
        return {}

    def constants(self, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """None."""
        return {}
