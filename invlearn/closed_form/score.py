"""Scores of candidates: how well code distances separate same and different pairs, or match given distances."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from invlearn.data import Dataset, EntitySamples, Pairs, Split, first_pairs
from invlearn.data.indexed import IndexedPairs, one_of_each
from invlearn.losses.functional import closeness

__all__ = ["SCORED", "Scorer", "log_loss", "scored_pairs"]

SCORED = 6_000
"""Maximal number of validation pairs to score candidates on."""

BETTER = 1.01
"""Factor by which a larger lift must be better, beyond what counts as perfect."""

PERFECT = 2e-4
"""Score in bits that counts as perfect."""

LITTLE = 5e-3
"""Score in bits below which no samples are left out."""

MATCHED = 1e-12
"""Mean squared error of given distances that counts as perfect."""

WORSE = 1.05
"""Factor within which scores count as equal."""

STEPS = 12
"""Steps of Newton's method."""

FLOOR = 1e-24
"""Least squared distance, relative to the mean; smaller ones are raised to it before the logarithm."""


def log_loss(squared: Tensor, same: Tensor, counts: Tensor) -> Tensor:
    """Mean log loss, in bits, of a logistic fit on logarithms of code distances; same and different have equal weight.

    1 is a coin toss, 0 a perfect separation. Targets are smoothed by one pair each, as in Platt scaling, so that the
    fit exists even for a perfect separation; the cost of the smoothing is subtracted.

    Args:
        squared: Squared code distances of C candidates, ``(C, N)``.
        same: Whether a pair is one entity, ``(N,)``.
        counts: How often each pair counts, ``(N,)``.

    Returns:
        ``(C,)``.

    Reference:
        Brümmer and du Preez, "Application-independent evaluation of speaker detection" (2006).
    """
    mean = squared.mean(1, keepdim=True).clamp(min=1e-300)
    feature = (squared / mean).clamp(min=FLOOR).log()
    centre, spread = feature.mean(1, keepdim=True), feature.std(1, keepdim=True).clamp(min=1e-12)
    feature = (feature - centre) / spread
    n_same, n_different = counts[same].sum(), counts[~same].sum()
    target = torch.where(same, (n_same + 1) / (n_same + 2), 1 / (n_different + 2))
    weight = torch.where(same, 0.5 / n_same, 0.5 / n_different) * counts
    slope, offset = feature.new_full((len(feature), 1), -1.0), feature.new_zeros(len(feature), 1)
    squares = feature.square()
    for _ in range(STEPS):
        p = torch.sigmoid(slope * feature + offset)
        gradient, curvature = weight * (p - target), weight * p * (1 - p)
        g = torch.stack([(gradient * feature).sum(1), gradient.sum(1)], 1)
        h_ff, h_f, h = (curvature * squares).sum(1), (curvature * feature).sum(1), curvature.sum(1)
        hessian = torch.stack([torch.stack([h_ff, h_f], 1), torch.stack([h_f, h], 1)], 1)
        hessian = hessian + 1e-6 * torch.eye(2).to(hessian)
        step = torch.linalg.solve(hessian, g).clamp(-2, 2)
        slope, offset = slope - step[:, :1], offset - step[:, 1:]
    logits = slope * feature + offset
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    smoothing = torch.special.entr(target) + torch.special.entr(1 - target)
    return (weight * (loss - smoothing)).sum(1) / math.log(2)


class Scorer:
    """Compares codes on validation pairs: by log loss or, for given distances, by their error.

    Pairs that are drawn several times are kept once, with their count, if that halves their number.

    Args:
        valid: The pairs.
        given: Whether to fit their distances.
        counts: How often each counts, ``(N,)``; by default repeated pairs are found and counted.
    """

    def __init__(self, valid: Pairs, *, given: bool, counts: Tensor | None = None):
        self.pairs = Pairs(*(part[:SCORED].double() for part in valid))
        self.counts = torch.ones_like(self.pairs.distance) if counts is None else counts
        self.given = given
        if counts is None and (found := _kept_once(self.pairs, self.indexed)):
            rows, self.counts = found
            self.pairs = Pairs(*(part[rows] for part in self.pairs))
            self.indexed = self.indexed._replace(first=self.indexed.first[rows], second=self.indexed.second[rows])
        self.same = self.pairs.distance == 0

    @cached_property
    def indexed(self) -> IndexedPairs:
        """The pairs; each sample is kept once."""
        return IndexedPairs.of(*self.pairs[:2])

    @classmethod
    def of(cls, dataset: Dataset, seed: int) -> Scorer:
        """The scorer of a dataset's validation pairs, which compares models of any kind.

        Args:
            dataset: Entities or pairs; distances are fitted if the user gave different ones.
            seed: Seed of the pairs.
        """
        pairs = scored_pairs(dataset, "valid", seed)
        different = pairs.distance[pairs.distance > 0]
        given = not isinstance(dataset, EntitySamples) and float(different.std(correction=0)) > 0
        return cls(pairs, given=given)

    def only(self, chosen: Tensor) -> Scorer:
        """The scorer of some of the pairs, by a mask ``(N,)``."""
        return Scorer(Pairs(*(part[chosen] for part in self.pairs)), given=self.given, counts=self.counts[chosen])

    def without_distances(self) -> Scorer:
        """The scorer of the same pairs that only separates same and different ones."""
        return Scorer(self.pairs, given=False, counts=self.counts)

    def scale(self, squared: Tensor) -> Tensor:
        """Factor from squared code distances ``(C, N)`` of different pairs to true ones, ``(C,)``."""
        different = ~self.same
        of_code, true, counts = squared[:, different], self.pairs.distance[different].square(), self.counts[different]
        if self.given:  # least squares
            return (of_code @ (counts * true)) / (of_code.square() @ counts).clamp(min=1e-300)
        return (counts @ true) / (of_code @ counts).clamp(min=1e-300)

    def scores(self, squared: Tensor) -> Tensor:
        """Scores of squared code distances ``(C, N)``; lower is better."""
        if not self.given:
            return log_loss(squared, self.same, self.counts)
        squared = squared * self.scale(squared)[:, None]
        true = closeness(self.pairs.distance.square(), 1.0, 1.0)
        return (closeness(squared, 1.0, 1.0) - true).square() @ self.counts / self.counts.sum()

    @property
    def floor(self) -> float:
        """The score that cannot be improved."""
        return MATCHED if self.given else PERFECT

    @property
    def little(self) -> float:
        """The score below which no samples are left out, because it would improve too little."""
        return MATCHED if self.given else LITTLE

    def is_equal(self, score: float, least: float) -> bool:
        """Whether a score is as good as another."""
        return score <= max(WORSE * least, self.floor)

    def is_enough(self, score: float, least: float) -> bool:
        """Whether a score is so close to that of a larger lift that the smaller one is preferred."""
        return self.is_equal(score, least) if self.given else score <= BETTER * least + PERFECT


def scored_pairs(dataset: Dataset, split: Split, seed: int, device: torch.device | str = "cpu") -> Pairs:
    """The pairs of a split on which candidates are compared.

    Args:
        dataset: Entities, pairs or a transformation family.
        split: The split.
        seed: Seed of the pairs.
        device: Their device.
    """
    return Pairs(*(part.to(device) for part in first_pairs(dataset, split, seed, SCORED)))


def _kept_once(pairs: Pairs, indexed: IndexedPairs) -> tuple[Tensor, Tensor] | None:
    """Rows of distinct pairs and their counts; None if more than half are distinct, or equal pairs differ in distance.

    Args:
        pairs: N pairs.
        indexed: The same.
    """
    ends = torch.stack([indexed.first, indexed.second]).sort(0).values
    _, index, counts = (ends[0] * len(indexed.samples) + ends[1]).unique(return_inverse=True, return_counts=True)
    if 2 * len(counts) > len(index):
        return None
    rows = one_of_each(index, len(counts))
    same_distance = torch.equal(pairs.distance[rows][index], pairs.distance)
    return (rows, counts.to(pairs.distance)) if same_distance else None
