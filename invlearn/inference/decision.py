"""Decide when two rows count as the same entity, and how probable that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from invlearn.errors import UserError
from invlearn.evaluation.calibration import Calibration, Threshold
from invlearn.evaluation.probability import DistanceModel
from invlearn.runs.trained import TrainedRun

__all__ = ["LOOKED_AT", "Decision", "Rule"]

FPR = 0.01
"""Default share of false matches."""

LOOKED_AT = 4_096
"""Maximal number of rows to estimate the prior from."""

WIDTH = 1.645
"""Standard errors on each side of an interval."""

FEWEST = 6
"""Least number of fits to estimate their spread from."""

CERTAIN = 1e-4
"""Probabilities are clipped to this distance from 0 and 1 before log odds are compared."""


@dataclass(frozen=True)
class Decision:
    """A rule applied to rows.

    Args:
        distance: Rows whose codes are closer than this are the same.
        among: Number of other rows that a row is compared with.
        chosen: Error rates at the distance; None if it was given and the run has no probabilities.
        model: Model of probabilities; None if the run has none.
        prior: Probability that a row has a partner.
        estimated: Whether the prior is an estimate.
        halves: Fits to halves of the validation entities, each with its prior; empty if there are many entities.
        taken: For one to one, the expected share of the candidate rows that go to partners of their own.
    """

    distance: float
    among: int
    chosen: Threshold | None = None
    model: DistanceModel | None = None
    prior: float = 0.5
    estimated: bool = False
    halves: Sequence[tuple[DistanceModel, float]] = ()
    taken: float = 0.0

    def probability(self, distances: np.ndarray, *, nearer_taken: bool = False) -> np.ndarray:
        """Probability of each candidate to be the row's partner, ``(n, k)``.

        Args:
            distances: Of the nearest of each row, the nearest first, ``(n, k)``.
            nearer_taken: Whether nearer ones are known to be others' partners.
        """
        if self.among == 1:
            return self.of_any(distances)
        assert self.model is not None
        of_each = self.model.by_rank if nearer_taken else self.model.candidates
        return of_each(distances, prior=self.prior, among=self.among)

    def of_any(self, distances: np.ndarray) -> np.ndarray:
        """Probability of the same entity for distances of any shape, whether others are nearer or not."""
        assert self.model is not None
        return self.model.probability(distances, prior=self.prior, among=self.among)

    @property
    def expected(self) -> tuple[float, float] | None:
        """Recall and precision of matches with the nearest, or one to one; None without probabilities."""
        return self.model and self._expected(self.model, self.prior)

    def _expected(self, model: DistanceModel, prior: float) -> tuple[float, float]:
        recall, precision = model.expected(self.distance, prior=prior, among=self.among)
        return recall, precision / (precision + (1 - precision) * (1 - self.taken))

    @property
    def intervals(self) -> Sequence[tuple[float, float]]:
        """Intervals of prior, recall and precision, about 90%, if there are few validation entities; else none.

        They come from the spread, in log odds, of fits to halves of these entities.
        """
        if self.model is None or len(self.halves) < FEWEST:
            return ()
        told = np.array([self.prior, *self._expected(self.model, self.prior)])
        spread = np.std([_log_odds([prior, *self._expected(half, prior)]) for half, prior in self.halves], axis=0)
        # The model counts outliers that so few entities cannot exclude. There may be none.
        highest = told / [1, 1 - self.model.outliers, 1]
        low, high = _log_odds(told) - WIDTH * spread, _log_odds(highest) + WIDTH * spread
        return list(zip(special.expit(low).tolist(), special.expit(high).tolist(), strict=True))

    def false_matches(self, *, sure: float = 0.5) -> float:
        """Share of rows without a partner that are marked; it is at most this with probability ``sure``."""
        assert self.chosen is not None
        return self.chosen.share(self.among, sure=sure) * (1 - self.taken)

    def one_to_one(self, rows: int) -> Decision:
        """The decision for a one-to-one assignment of so many rows to ``among`` rows.

        A row without a partner is marked only if the row that it is close to has no partner of its own, because that
        partner would be closer. This removes a part of the false matches.
        """
        expected = self.expected
        return self if expected is None else replace(self, taken=min(1.0, self.prior * rows / self.among) * expected[0])


@dataclass(frozen=True)
class Rule:
    """A rule for when two rows count as the same entity. Of the four options, the last one that is given applies.

    Args:
        fpr: Largest acceptable share of false matches among rows without a partner.
        fnr: Acceptable share of missed partners.
        cost: Cost of a false match if a missed partner costs 1.
        threshold: Code distance below which rows are the same.
        prior: Share of the rows that have a partner (for given pairs, share of same pairs), above 0 and at most 1; by
            default it is estimated.
    """

    fpr: float = FPR
    fnr: float | None = None
    cost: float | None = None
    threshold: float | None = None
    prior: float | None = None

    def check(self, run: TrainedRun, *, replica: int | None = None) -> None:
        """Check the options before any data are read.

        Raises:
            UserError: A number is out of range, or the run lacks the calibration that an option needs.
        """
        self.decide(run, np.empty(0), among=1, replica=replica)

    def decide(self, run: TrainedRun, nearest: np.ndarray, *, among: int, replica: int | None = None) -> Decision:
        """Apply the rule.

        Args:
            run: A trained run.
            nearest: Distance from each row to the nearest of the rows that it is compared with, ``(n,)``.
            among: Number of rows that each is compared with.
            replica: Replica that encodes.

        Raises:
            UserError: A number is out of range, or the run lacks the calibration that an option needs.
        """
        way, value = self._way
        if self.prior is not None and not 0 < self.prior <= 1:
            raise UserError(f"--prior must be above 0 and at most 1, got {self.prior}")
        if way == "threshold" and not 0 < value < math.inf:
            raise UserError(f"--threshold must be above 0 and finite, got {value}")
        if way == "threshold" and not run.is_calibrated(replica):
            return Decision(value, among)
        calibration = run.calibration(replica)
        model, prior = calibration.model, self.prior
        prior = self._prior(model, nearest, among) if model else 0.5 if prior is None else prior
        halves = [(half, self._prior(half, nearest, among)) for half in calibration.halves]
        try:
            chosen = _threshold(calibration, way, value, prior=prior, among=among)
        except ValueError as error:
            lacks = model is None and way in ("cost", "fnr")
            raise UserError(f"--{way}{f' with {run.directory}' if lacks else ''}: {error}") from error
        return Decision(chosen.distance if chosen else value, among, chosen, model, prior, self.prior is None, halves)

    def _prior(self, model: DistanceModel, nearest: np.ndarray, among: int) -> float:
        """The given prior, or the estimate of a model."""
        if self.prior is not None:
            return self.prior
        looked_at = nearest[:: 1 + len(nearest) // LOOKED_AT]
        return model.estimate_prior(looked_at[np.isfinite(looked_at)], among=among)

    @property
    def _way(self) -> tuple[str, float]:
        """The option that applies, and its number."""
        ways = {"threshold": self.threshold, "cost": self.cost, "fnr": self.fnr, "fpr": self.fpr}
        return next(((way, value) for way, value in ways.items() if value is not None), ("fpr", FPR))


def _threshold(calibration: Calibration, way: str, value: float, *, prior: float, among: int) -> Threshold | None:
    """The threshold of an option; None for a given distance and a run without probabilities.

    Raises:
        ValueError: The number is out of range, or there are no probabilities.
    """
    if way == "threshold":
        return calibration.at(value) if calibration.model else None
    if way == "cost":
        return calibration.cheapest(value, prior=prior, among=among)
    return calibration.missing(value) if way == "fnr" else calibration.threshold(value, among=among)


def _log_odds(shares: ArrayLike) -> np.ndarray:
    return special.logit(np.clip(shares, CERTAIN, 1 - CERTAIN))
