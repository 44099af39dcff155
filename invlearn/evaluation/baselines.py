"""Statistics of the training data for constant predictions."""

from __future__ import annotations

from invlearn.data import DrawnPairs, Draws, EntityBatch, Pairs, Targets
from invlearn.data.batches import Batch
from invlearn.losses import Loss, PairwiseLoss, Statistics
from invlearn.losses.functional import closeness, example_pairs

__all__ = ["training_facts"]


def training_facts(loss: Loss, train: Batch, state: Statistics, draws: Draws) -> Statistics:
    """The mean sample and code, and mean closeness of pairs, at α = 1 and at the last α that is trained.

    Args:
        loss: The loss.
        train: Its training examples.
        state: Its keywords at the end of training.
        draws: Draws pairs of the training data, if the examples are not pairs.
    """
    facts: Statistics = {}
    if isinstance(train, Targets):
        facts |= {"mean_sample": train.x.mean(1), "mean_code": train.code.mean(1)}
        if not loss.trains_encoder:
            return facts
        pairs = draws.examples(DrawnPairs(), "train")
        assert isinstance(pairs, Pairs)
        x, x_prime, distance = pairs
    else:
        x, x_prime, distance = example_pairs(*train) if isinstance(train, EntityBatch) else train
        facts["mean_sample"] = (x.mean(1) + x_prime.mean(1)) / 2
    squared = distance.square()
    facts["mean_closeness"] = closeness(squared, 1.0, 1.0).mean(1)
    if isinstance(loss, PairwiseLoss):
        facts["mean_closeness_trained"] = closeness(squared, loss.delta, state["alpha"][:, None]).mean(1)
    return facts
