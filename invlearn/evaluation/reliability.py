"""How well probabilities and stated rates hold on unseen entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.distances import Array

__all__ = ["Matching", "Reliability", "Scores", "Unseen", "measure_reliability"]

BINS = 15
"""Number of equal intervals of probability for the calibration error."""

SIMULATED = 100
"""Number of draws to estimate the calibration error of exact probabilities."""

RATE = 0.01
"""False-match rate at which a threshold is tried."""

FEWEST = 8
"""Least number of entities."""


@dataclass(frozen=True)
class Scores:
    """Scores of probabilities, and of the constant probability that is the true share.

    Args:
        calibration_error: Expected calibration error over 15 bins.
        chance: Mean calibration error of exact probabilities with as many samples.
        brier: Brier score.
        log_loss: Log loss in nats.
        constant_brier: Brier score of the constant.
        constant_log_loss: Log loss of the constant.
    """

    calibration_error: float
    chance: float
    brier: float
    log_loss: float
    constant_brier: float
    constant_log_loss: float

    @property
    def shown(self) -> tuple[float, ...]:
        """Scores in the order of tables, each followed by its comparison."""
        errors = (self.calibration_error, self.chance)
        return (*errors, self.brier, self.constant_brier, self.log_loss, self.constant_log_loss)

    @classmethod
    def of(cls, probability: Array, truth: np.ndarray) -> Scores:
        """Score probabilities ``(n,)`` by what is true, ``(n,)``."""
        truth = truth.astype(float)
        draws = np.random.default_rng(0).random((SIMULATED, len(truth))) < probability
        base = np.full(len(truth), truth.mean())
        return cls(
            _calibration_error(probability, truth),
            float(np.mean([_calibration_error(probability, draw.astype(float)) for draw in draws])),
            float(np.square(probability - truth).mean()),
            _log_loss(probability, truth),
            float(np.square(base - truth).mean()),
            _log_loss(base, truth),
        )


@dataclass(frozen=True)
class Matching:
    """Results of the threshold for a false-match rate of 1%.

    Args:
        found: Share of the partners that are nearest and within the threshold.
        false_matches: Share of the rows without a partner whose nearest is within the threshold.
        stated: The expected share of false matches, by the model.
        at_most: Its upper limit, 95%.
    """

    found: float
    false_matches: float
    stated: float
    at_most: float


@dataclass(frozen=True)
class Reliability:
    """Measurements on unseen entities, half of which have no partner.

    Args:
        pairs: Scores of pairs, half of them the same, at the prior 1/2.
        nearest: Scores of nearest rows, at the estimated prior.
        matching: Matches at 1%.
        among: Number of rows that each was compared with.
        prior: The estimated prior; the true one is 1/2.
    """

    pairs: Scores
    nearest: Scores
    matching: Matching
    among: int
    prior: float


class Unseen(NamedTuple):
    """Code distances of two samples each of n entities, a query and a partner."""

    same: Array
    """Of both samples of each entity, ``(n,)``."""
    different: Array
    """Of each query to another entity, ``(n,)``."""
    half: Array
    """Of each query to the first half of the partners, ``(n, n // 2)``."""

    @classmethod
    def of(cls, queries: CodedSamples, partners: CodedSamples) -> list[Unseen]:
        """The distances of n queries and their partners by each of R encoders."""
        own, half = queries.rows, len(queries) // 2
        other = own.roll(1 + len(own) // 3)
        found = (
            queries.apart(own, own, partners),
            queries.apart(own, other, partners),
            queries.search(partners[own[:half]]),
        )
        parts = (part.double().cpu().numpy() for part in found)
        return [cls(*of_one) for of_one in zip(*parts, strict=True)]


def measure_reliability(calibration: Calibration, unseen: Unseen) -> Reliability | None:
    """Measure on two samples each of n unseen entities.

    Args:
        calibration: Of the encoder.
        unseen: Their distances.

    Returns:
        None if there is no model of distances, or there are too few entities.
    """
    model, n = calibration.model, len(unseen.same)
    if model is None or n < FEWEST:
        return None
    pairs = Scores.of(model.probability(np.append(unseen.same, unseen.different), prior=0.5), np.arange(2 * n) < n)
    among = n // 2
    distances = unseen.half
    nearest, closest = distances.argmin(1), distances.min(1)
    right = nearest == np.arange(n)
    prior = model.estimate_prior(closest, among=among)
    probability = model.probability(closest, prior=prior, among=among, nearest=True)
    threshold = calibration.threshold(RATE, among=among)
    within = closest < threshold.distance
    matching = Matching(
        float((within & right)[:among].mean()),
        float(within[among:].mean()),
        threshold.share(among),
        threshold.share(among, sure=0.95),
    )
    return Reliability(pairs, Scores.of(probability, right), matching, among, prior)


def _calibration_error(probability: Array, truth: Array) -> float:
    interval = np.minimum((probability * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(interval, probability - truth)).sum() / len(truth))


def _log_loss(probability: Array, truth: Array) -> float:
    p = np.clip(np.where(truth > 0, probability, 1 - probability), 1e-15, 1.0)
    return float(-np.log(p).mean())
