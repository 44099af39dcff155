"""Calibration: what a code distance says of two samples, and below which distance they count as the same entity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy
import torch
from torch import Tensor

from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.probability import DistanceModel

__all__ = ["RATES", "Calibration", "Threshold"]

RATES = (0.0, *(digit * 10.0**power for power in range(-6, -1) for digit in (1, 2, 5)), 0.1, 0.2)
"""False-positive rates for which a threshold is kept, as far as there are pairs enough to tell."""

FEW = 50
"""Entities up to which it is told how sure a model is: each fit costs some hundredths of a second."""

HALVES = 12
"""Fits to halves of them."""


class Threshold(NamedTuple):
    """A code distance below which two samples count as the same entity, and what it does to pairs."""

    distance: float
    """The distance."""
    false_positive_rate: float
    """Share of different pairs that are closer, 0 to 1."""
    true_positive_rate: float
    """Share of same pairs that are closer."""
    different_entities: int | None
    """How many pairs of different entities that rests on; None for a run that is older than this number."""
    model: DistanceModel | None = None
    """What the shares were computed from; None where validation pairs were counted."""

    def share(self, among: int, *, sure: float = 0.5) -> float:
        """Share of false matches among samples without a partner, each compared with so many others.

        Args:
            among: How many others a sample is compared with.
            sure: Probability that it is no more; 0.5 is about what to expect. Of a model, by the standard error of the
                fit; of counted pairs, the upper limit of Clopper and Pearson.
        """
        of_pairs = self.false_positive_rate
        if self.model is not None:
            different = self.model.different
            error = different.log_error(self.distance) if sure != 0.5 and self.distance > 0 else 0.0
            of_pairs = min(1.0, of_pairs * math.exp(float(scipy.special.ndtri(sure)) * error))
            return float(different.any_closer(of_pairs, among))
        if self.different_entities is not None:
            closer = round(of_pairs * self.different_entities)
            of_pairs = float(scipy.special.betaincinv(closer + 1, self.different_entities - closer, sure))
        return 1 - (1 - of_pairs) ** among

    @property
    def is_extrapolated(self) -> bool:
        """Whether so few different pairs are closer that validation had less than one."""
        return self.model is not None and self.false_positive_rate * self.model.different.entity_pairs < 1


@dataclass(frozen=True)
class Calibration:
    """What code distances say, from validation pairs: a model of their distributions, and counts.

    Args:
        rates: Shares of different pairs, 0 to 1, in ascending order; the first is 0.
        thresholds: For each the largest distance below which no larger share of different pairs is.
        true_positive_rates: Shares of same pairs below it.
        different_entities: Pairs of different entities that they rest on; None where that was not stored.
        model: Distributions of distances; None where there were too few pairs, and in runs that are older than it.
        halves: The same of random halves of the entities, where these are few: they say how sure the model is.
    """

    rates: Sequence[float]
    thresholds: Sequence[float]
    true_positive_rates: Sequence[float]
    different_entities: int | None = None
    model: DistanceModel | None = None
    halves: Sequence[DistanceModel] = ()

    @classmethod
    def fit(cls, pairs: ComparedPairs) -> Calibration | None:
        """Calibrate on held-out pairs of both kinds.

        Returns:
            None where a distance is not finite.
        """
        distances, same = torch.from_numpy(pairs.distance), torch.from_numpy(pairs.same)
        counted = cls.count(distances, same, pairs.entity_pairs)
        model = DistanceModel.fit(pairs)
        return counted and replace(counted, model=model, halves=_halves(pairs) if model else ())

    @classmethod
    def count(cls, distances: Tensor, same: Tensor, different_entities: int) -> Calibration | None:
        """Calibrate by counting pairs alone.

        Args:
            distances: Their code distances, ``(N,)``.
            same: Whether each is of one entity, ``(N,)``; there are both kinds.
            different_entities: How many pairs of different entities there are; their samples may make more pairs.

        Returns:
            None where a distance is not finite.
        """
        if not bool(distances.isfinite().all()):
            return None
        rates = [rate for rate in RATES if not 0 < rate * different_entities < 1]
        different = distances[~same].sort().values
        thresholds = different[[min(int(rate * len(different)), len(different) - 1) for rate in rates]]
        shares = (distances[same][:, None] < thresholds).double().mean(0)
        return cls(rates, thresholds.tolist(), shares.tolist(), different_entities)

    def threshold(self, rate: float, *, among: int = 1) -> Threshold:
        """The distance below which samples count as the same entity.

        It is never larger than the distance at which a pair is as likely within an entity as between two: beyond it,
        hardly a partner is found.

        Args:
            rate: Acceptable share of false matches, above 0 and below 1, when a sample without a partner is compared
                with ``among`` others. Without a model, and with too few validation pairs to estimate it, the smallest
                distance between entities is returned, and its ``share`` is larger.
            among: How many others a sample is compared with, at least 1.

        Raises:
            ValueError: One of them is out of range.
        """
        _check(rate, "a false-positive rate")
        if among < 1:
            raise ValueError(f"a sample must be compared with at least 1 other, got {among}")
        if self.model is not None:
            distance = float(self.model.different.quantile(self.model.different.share_for(rate, among)))
            return self.at(min(distance, self.model.distance_at(0.5, prior=0.5)))
        # If k of so many pairs are too close, so are k / pairs * among of the samples, on average, at most.
        index = max((index for index, of_pairs in enumerate(self.rates) if of_pairs * among <= rate), default=0)
        return Threshold(
            self.thresholds[index], self.rates[index], self.true_positive_rates[index], self.different_entities
        )

    def counted(self) -> Calibration:
        """The same without a model: thresholds are counted."""
        return replace(self, model=None)

    def missing(self, rate: float) -> Threshold:
        """The distance that all but this share of pairs of one entity are within.

        Raises:
            ValueError: The rate is out of range, or there is no model.
        """
        _check(rate, "a false-negative rate")
        return self.at(self._known().recall_distance(1 - rate))

    def cheapest(self, cost: float, *, prior: float, among: int = 1) -> Threshold:
        """The distance of least expected cost: below it a nearest sample is of the same entity with odds of ``cost``.

        Args:
            cost: What a false match costs, where missing a true one costs 1; above 0.
            prior: Probability that a sample has a partner.
            among: How many others a sample is compared with.

        Raises:
            ValueError: The cost is out of range, or there is no model.
        """
        if not (cost > 0 and math.isfinite(cost)):
            raise ValueError(f"a cost must be above 0, got {cost}")
        nearest = among > 1
        return self.at(self._known().distance_at(cost / (1 + cost), prior=prior, among=among, nearest=nearest))

    def at(self, distance: float) -> Threshold:
        """What a distance does to pairs, by the model.

        Raises:
            ValueError: There is no model.
        """
        model = self._known()
        closer, found = float(model.different.cdf(distance)), float(model.recall(distance))
        return Threshold(distance, closer, found, model.different.entity_pairs, model)

    def _known(self) -> DistanceModel:
        if self.model is None:
            raise ValueError(
                "there are no probabilities: the run has too few validation pairs, or is from an earlier version; "
                "train again with a larger dataset.valid_share"
            )
        return self.model

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in run.json."""
        return {
            "false_positive_rate": list(self.rates),
            "threshold": list(self.thresholds),
            "true_positive_rate": list(self.true_positive_rates),
            "different_entities": self.different_entities,
            "model": self.model and self.model.to_dict(),
            "halves": [half.to_dict() for half in self.halves],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """What ``to_dict`` gave, perhaps in an earlier version."""
        return cls(
            values["false_positive_rate"],
            values["threshold"],
            values["true_positive_rate"],
            values.get("different_entities"),
            DistanceModel.from_dict(model) if (model := values.get("model")) else None,
            tuple(map(DistanceModel.from_dict, values.get("halves") or ())),
        )


def _halves(pairs: ComparedPairs) -> tuple[DistanceModel, ...]:
    """Fits to random halves of the entities; none where entities are many, or pairs are given without them.

    Between halves estimates vary as between data of this size: half of the entities double the variance, of which the
    other half is shared.
    """
    size = int(pairs.entities.max()) + 1
    if size > FEW or (pairs.entities[0] != pairs.entities[1])[pairs.same].any():
        return ()
    rng = np.random.default_rng(0)
    fits = (DistanceModel.fit(pairs.among(rng.permutation(size) < size // 2)) for _ in range(HALVES))
    return tuple(fit for fit in fits if fit)


def _check(rate: float, name: str) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"{name} must be above 0 and below 1, got {rate}")
