"""The probability that two samples are of one entity, given the distance of their codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.distances import Array, Different, Same
from invlearn.evaluation.fitting import fit_different, fit_same

__all__ = ["DistanceModel"]

GRID = 1_024
"""Distances at which the ratio of densities is tabulated."""

FLOOR = 1e-5
"""Least distance, relative to the median of different entities: closer samples are equal up to rounding."""

SURE = 30.0
"""Largest log odds."""


@dataclass(frozen=True)
class DistanceModel:
    """Distributions of code distances, and the resulting probabilities of pairs.

    Args:
        same: Within entities.
        different: Between entities.
        floor: Least distance; smaller ones count as this.
    """

    same: Same
    different: Different
    floor: float

    @classmethod
    def fit(cls, pairs: ComparedPairs) -> DistanceModel | None:
        """Fit both distributions.

        Some pairs of one entity may be as far apart as strangers, and some pairs of different entities as close as
        those of one. If there are both, labels are wrong, and both are left out. Otherwise all pairs count as labelled.

        Args:
            pairs: Held-out pairs of both kinds.

        Returns:
            None if there are too few pairs, or codes do not differ.
        """
        strangers, partners = pairs.where(~pairs.same), pairs.where(pairs.same)
        if not len(partners.distance) or not len(strangers.distance):
            return None
        floor = FLOOR * float(np.median(strangers.distance))
        if not floor > 0:
            return None
        strangers, partners = strangers.at_least(floor), partners.at_least(floor)
        different = fit_different(strangers)
        if different is None:
            return None
        entities = len(np.unique(partners.entities))
        same, has_outliers = fit_same(partners.distance, entities, different)
        if has_outliers and (corrected := fit_different(strangers, same)) and corrected.mislabelled:
            different = corrected
            same, _ = fit_same(partners.distance, entities, different)
        return cls(same, different, floor)

    @property
    def outliers(self) -> float:
        """Share of the pairs of one entity, by right labels, that are as far apart as strangers."""
        return 1 / (self.same.entities + 2) if self.different.mislabelled else self.same.outliers

    def recall(self, distance: ArrayLike) -> Array:
        """Share of pairs of one entity that are closer."""
        d = np.maximum(distance, self.floor)
        return (1 - self.outliers) * self.same.cdf(d) + self.outliers * self.different.cdf(d)

    def log_ratio(self, distance: ArrayLike) -> Array:
        """Log likelihood ratio of a distance, within an entity to between two; it never increases with the distance."""
        return np.logaddexp(self._log_typical(distance), np.log(self.outliers))

    def _log_typical(self, distance: ArrayLike) -> Array:
        """The part of the likelihood ratio, in logarithms, that is due to pairs of one entity other than outliers."""
        return np.interp(np.log(np.maximum(distance, self.floor)), *self._table)

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        # The fit is to the lower tail; from the median on, ratios are constant.
        ends = self.different.quantile([1e-12, 0.5])
        low, high = np.log([max(self.floor, min(ends[0], np.exp(self.same.centre / 2) / 100)), ends[1]])
        grid = np.linspace(low, high, GRID)
        ratio = self.same.log_pdf(np.exp(grid)) - self.different.log_pdf(np.exp(grid))
        typical = np.clip(np.log1p(-self.outliers) + ratio, -SURE, None)
        # Nearer samples are no less likely to be of one entity.
        return grid, np.maximum.accumulate(typical[::-1])[::-1]

    def probability(self, distance: ArrayLike, *, prior: float, among: int = 1, nearest: bool = False) -> Array:
        r"""Probability that two samples are of one entity; it never increases with the distance.

        .. math:: \text{odds} = \frac{π\, s(d)}{(N - π) f(d)}

        with s and f the densities of distances within and between entities. The nearest of N has the odds of
        ``candidates``.

        Args:
            distance: Distance of their codes.
            prior: π, the probability that a sample has a partner among the N samples, above 0 and at most 1.
            among: N, the number of samples that a sample is compared with.
            nearest: Whether the distance is that of the nearest of them.
        """
        if nearest:
            return scipy.special.expit(self._log_odds_of_rank(distance, 1, prior, among))
        with np.errstate(divide="ignore"):  # a single sample with the prior 1
            return scipy.special.expit(self.log_ratio(distance) + np.log(prior) - np.log(among - prior))

    def candidates(self, distances: np.ndarray, *, prior: float, among: int) -> Array:
        r"""Probability of each of the k nearest of N samples to be the partner; a sample has at most one.

        If no nearer one is the partner, the odds of the j-th are

        .. math:: \frac{π \left[(1 - ε)\, s(d)\, (1 + N F(d)/ν) / (1 + (j - 1)/ν) + ε f(d)\right]}
            {N f(d) \left[1 - π + π (1 - ε) (1 - S(d)) + π ε (1 - j / N)\right]}

        because all others are further away, including the partner if it is another sample. The share ε of the partners
        are outliers, which are like strangers: each of N samples is equally likely to be one. s and S describe the
        other partners, and ν is the ``dispersion``. Odds are not allowed to increase with the distance.

        Args:
            distances: ``(n, k)``, ascending in each row.
            prior: π, as above.
            among: N, at least k.

        Returns:
            ``(n, k)``, with sums of at most 1.
        """
        found = self.by_rank(distances, prior=prior, among=among)
        found[:, 1:] *= np.cumprod(1 - found, axis=1)[:, :-1]
        return found

    def by_rank(self, distances: np.ndarray, *, prior: float, among: int) -> Array:
        """The same, for each of the k nearest, if it is known that no nearer one is the partner: ``(n, k)``."""
        ranks = enumerate(distances.T, start=1)
        odds = [self._log_odds_of_rank(distance, rank, prior, among) for rank, distance in ranks]
        return scipy.special.expit(np.stack(odds, axis=1))

    def _log_odds_of_rank(self, distance: ArrayLike, rank: int, prior: float, among: int) -> Array:
        grid, typical = self._table
        d, outliers = np.exp(grid), self.outliers
        likelihood = np.logaddexp(typical + self._log_crowding(d, rank, among), np.log(outliers))
        partner = np.log(prior / among) + likelihood
        further = (1 - outliers) * (1 - self.same.cdf(d)) + outliers * (1 - rank / among)
        with np.errstate(divide="ignore"):  # the last of all samples with the prior 1
            odds = np.minimum.accumulate(partner - np.log(1 - prior + prior * further))
        return np.interp(np.log(np.maximum(distance, self.floor)), grid, odds)

    def _log_crowding(self, distance: Array, rank: int, among: int) -> Array:
        """Log ratio of densities: one stranger fewer to as many as the rank; 0 if all samples are equally dense."""
        dispersion = self.different.dispersion
        return np.log1p(among * self.different.cdf(distance) / dispersion) - np.log1p((rank - 1) / dispersion)

    def estimate_prior(self, distance: ArrayLike, *, among: int = 1) -> float:
        """Share of samples that have a partner, by maximum likelihood of the distances to the nearest of ``among``.

        Args:
            distance: Of each sample, ``(n,)``.
            among: How many each was compared with.
        """
        d = np.maximum(np.asarray(distance, dtype=float), self.floor)
        n = len(d)
        if not n:
            return 0.5
        if among == 1:
            with_partner = self.log_ratio(d)
        else:  # the partner is the nearest, or further away; densities are relative to that of a nearest stranger
            is_nearest = self._log_typical(d) + self._log_crowding(d, 1, among) - np.log(among)
            further = (1 - self.outliers) * (1 - self.same.cdf(d)) + self.outliers
            with_partner = np.logaddexp(is_nearest, np.log(further))
        prior, least = 0.5, 1 / (n + 2)
        for _ in range(200):
            responsible = scipy.special.expit(scipy.special.logit(prior) + with_partner)
            prior, before = min(max(float(responsible.mean()), least), 1 - least), prior
            if abs(prior - before) < 1e-6:
                break
        return prior

    def expected(self, distance: float, *, prior: float, among: int = 1) -> tuple[float, float]:
        """Expected recall and precision of matching the nearest of ``among`` if it is closer than a distance.

        Returns:
            Share of the partners that are found (recall), and share of the matches that are right (precision).
        """
        if among == 1:  # one other is of the same entity or not
            recall, wrong = float(self.recall(distance)), (1 - prior) * float(self.different.cdf(distance))
        else:
            grid = np.exp(np.linspace(np.log(self.floor), np.log(max(distance, self.floor)), GRID))
            stranger = self.different.any_closer(self.different.cdf(grid), among)
            typical = (1 - self.outliers) * self.same.cdf(grid)
            found_as_outlier = self.outliers * float(stranger[-1]) / among
            recall = float((np.diff(typical, prepend=0.0) * (1 - stranger)).sum()) + found_as_outlier
            wrong = float((np.diff(stranger, prepend=0.0) * (1 - prior * typical)).sum()) - prior * found_as_outlier
        right = prior * recall
        return recall, right / (right + wrong) if right + wrong > 0 else 1.0

    def distance_at(self, probability: float, *, prior: float, among: int = 1, nearest: bool = False) -> float:
        """The largest distance, up to the median of different entities, with at least this probability; 0 if none."""
        grid = np.exp(self._table[0])
        enough = self.probability(grid, prior=prior, among=among, nearest=nearest) >= probability
        return float(grid[enough.sum() - 1]) if enough.any() else 0.0

    def recall_distance(self, recall: float) -> float:
        """The distance below which this share of the pairs of one entity lies, at most the median of different ones."""
        grid = np.exp(self._table[0])
        return float(np.interp(recall, self.recall(grid), grid))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in run.json."""
        return {"same": self.same.to_dict(), "different": self.different.to_dict(), "floor": self.floor}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DistanceModel:
        """What ``to_dict`` gave."""
        return cls(Same.from_dict(values["same"]), Different.from_dict(values["different"]), values["floor"])
