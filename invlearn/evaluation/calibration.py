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
"""False-positive rates with a stored threshold, if there are enough pairs."""

FEW = 50
"""Maximal number of entities for intervals of the model: each fit costs some hundredths of a second."""

HALVES = 12
"""Fits to halves of them."""


class Threshold(NamedTuple):
    """A code distance below which two samples count as the same entity, and its error rates."""

    distance: float
    """The distance."""
    false_positive_rate: float
    """Share of different pairs that are closer, 0 to 1."""
    true_positive_rate: float
    """Share of same pairs that are closer."""
    different_entities: int | None
    """Number of pairs of different entities it is based on; None for runs of versions without it."""
    model: DistanceModel | None = None
    """The model that gave the shares; None if validation pairs were counted."""
    is_capped: bool = False
    """Whether a larger distance would still have at most the accepted share of false matches."""

    def share(self, among: int, *, sure: float = 0.5) -> float:
        """Share of false matches among samples without a partner, each compared with so many others.

        Args:
            among: Number of other samples that a sample is compared with.
            sure: Probability that the share is at most the returned one; 0.5 gives about the expected share. A model
                uses the standard error of the fit, counted pairs the upper limit of Clopper and Pearson.
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
    """Calibration of code distances on validation pairs: a model of their distributions, and counts.

    Args:
        rates: Shares of different pairs, 0 to 1, in ascending order; the first is 0.
        thresholds: For each rate, the largest distance below which the share of different pairs is at most the rate.
        true_positive_rates: Shares of same pairs below each threshold.
        different_entities: Number of pairs of different entities; None if it was not stored.
        model: Distributions of distances; None with too few pairs, and in runs of earlier versions.
        halves: Models of random halves of the entities, if these are few; their spread is the model's uncertainty.
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
            None if a distance is not finite.
        """
        distances, same = torch.from_numpy(pairs.distance), torch.from_numpy(pairs.same)
        counted = cls.count(distances, same, pairs.entity_pairs)
        model = DistanceModel.fit(pairs)
        return counted and replace(counted, model=model, halves=_halves(pairs) if model else ())

    @classmethod
    def count(cls, distances: Tensor, same: Tensor, different_entities: int) -> Calibration | None:
        """Calibrate by counting pairs alone.

        Args:
            distances: Code distances of the pairs, ``(N,)``.
            same: Whether each pair is of one entity, ``(N,)``; there are both kinds.
            different_entities: Number of pairs of different entities; their samples may form more pairs.

        Returns:
            None if a distance is not finite.
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

        It is never larger than the distance that is as frequent within entities as between them. A larger one finds
        hardly any more partners; ``is_capped`` is then true, and there are fewer false matches than are acceptable.

        Args:
            rate: Largest acceptable share of false matches, above 0 and below 1, when a sample without a partner is
                compared with ``among`` others. Without a model, and with too few validation pairs to estimate the
                rate, the smallest distance between entities is returned, and its ``share`` is larger.
            among: Number of other samples that a sample is compared with, at least 1.

        Raises:
            ValueError: One of them is out of range.
        """
        _check(rate, "a false-positive rate")
        if among < 1:
            raise ValueError(f"a sample must be compared with at least 1 other, got {among}")
        if self.model is not None:
            distance = float(self.model.different.quantile(self.model.different.share_for(rate, among)))
            equal = self.model.distance_at(0.5, prior=0.5)
            return self.at(min(distance, equal))._replace(is_capped=equal < distance)
        # If k of so many pairs are too close, so are k / pairs * among of the samples, on average, at most.
        index = max((index for index, of_pairs in enumerate(self.rates) if of_pairs * among <= rate), default=0)
        return Threshold(
            self.thresholds[index], self.rates[index], self.true_positive_rates[index], self.different_entities
        )

    def counted(self) -> Calibration:
        """The same without a model: thresholds are counted."""
        return replace(self, model=None)

    def missing(self, rate: float) -> Threshold:
        """The distance that misses this share of the pairs of one entity.

        Raises:
            ValueError: The rate is out of range, or so small that most different entities would match, or there is no
                model.
        """
        _check(rate, "a false-negative rate")
        model = self._known()
        least = 1 - float(model.recall(model.recall_distance(1.0)))
        if rate < least:
            limit = f"{math.ceil(1e4 * least) / 1e4:g}"
            raise ValueError(f"a false-negative rate below {limit} would match most strangers, got {rate:g}")
        return self.at(model.recall_distance(1 - rate))

    def cheapest(self, cost: float, *, prior: float, among: int = 1) -> Threshold:
        """The distance of least expected cost, where the odds that a nearest sample is of the same entity are ``cost``.

        Args:
            cost: Cost of a false match if a missed partner costs 1; above 0.
            prior: Probability that a sample has a partner.
            among: Number of other samples that a sample is compared with.

        Raises:
            ValueError: The cost is out of range, or there is no model.
        """
        if not (cost > 0 and math.isfinite(cost)):
            raise ValueError(f"a cost must be above 0, got {cost}")
        nearest = among > 1
        return self.at(self._known().distance_at(cost / (1 + cost), prior=prior, among=among, nearest=nearest))

    def at(self, distance: float) -> Threshold:
        """A distance as a threshold, with its error rates by the model.

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
                "train it again with a larger dataset.valid_share"
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
    """Fits to random halves of the entities; none if there are many entities, or only pairs.

    Estimates vary between halves as between datasets of the full size: half of the entities double the variance, but
    half of it is shared.
    """
    size = int(pairs.entities.max()) + 1
    if size > FEW or pairs.are_unrelated:
        return ()
    rng = np.random.default_rng(0)
    fits = (DistanceModel.fit(pairs.among(rng.permutation(size) < size // 2)) for _ in range(HALVES))
    return tuple(fit for fit in fits if fit)


def _check(rate: float, name: str) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"{name} must be above 0 and below 1, got {rate}")
