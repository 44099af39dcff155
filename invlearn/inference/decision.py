"""When two rows count as the same entity, and how probable it is that they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invlearn.errors import UserError
from invlearn.evaluation.calibration import Threshold
from invlearn.evaluation.probability import DistanceModel
from invlearn.runs.trained import TrainedRun

__all__ = ["LOOKED_AT", "Decision", "Rule"]

LOOKED_AT = 4_096
"""Rows at most by which the prior is estimated."""


@dataclass(frozen=True)
class Decision:
    """A rule applied to rows.

    Args:
        distance: Rows whose codes are closer than this are the same.
        among: With how many others a row is compared.
        chosen: What the distance does to pairs; None where it was given and the run has no probabilities.
        model: What probabilities come from; None where the run has none.
        prior: Probability that a row has a partner.
        estimated: Whether that is an estimate.
    """

    distance: float
    among: int
    chosen: Threshold | None = None
    model: DistanceModel | None = None
    prior: float = 0.5
    estimated: bool = False

    def probability(self, distances: np.ndarray) -> np.ndarray:
        """Probability of the same entity, for distances ``(n, k)`` of the nearest of each row, the nearest first."""
        assert self.model is not None
        of = self.model.probability
        closest = of(distances[:, :1], prior=self.prior, among=self.among, nearest=self.among > 1)
        return np.hstack([closest, of(distances[:, 1:], prior=self.prior, among=self.among)])

    @property
    def expected(self) -> tuple[float, float] | None:
        """Recall and precision of matches with the nearest; None without probabilities."""
        return self.model and self.model.expected(self.distance, prior=self.prior, among=self.among)


@dataclass(frozen=True)
class Rule:
    """When two rows count as the same entity. The last that is given of four ways applies.

    Args:
        fpr: Acceptable share of false matches among rows without a partner.
        fnr: Acceptable share of partners that are further apart.
        cost: What a false match costs, where missing a partner costs 1.
        threshold: Code distance below which they are the same.
        prior: Share of the rows that have a partner (of given pairs, share that is the same); None is estimated.
    """

    fpr: float = 0.01
    fnr: float | None = None
    cost: float | None = None
    threshold: float | None = None
    prior: float | None = None

    def check(self, run: TrainedRun, *, replica: int | None = None) -> None:
        """Refuse what no data can put right, before any are read.

        Raises:
            UserError: A number is out of range, or the run has not what it takes.
        """
        self.decide(run, np.empty(0), among=1, replica=replica)

    def decide(self, run: TrainedRun, nearest: np.ndarray, *, among: int, replica: int | None = None) -> Decision:
        """Apply the rule.

        Args:
            run: A trained run.
            nearest: Distances of rows to the nearest of those that each is compared with, ``(n,)``.
            among: How many these are.
            replica: Which replica encodes.

        Raises:
            UserError: A number is out of range, or the run has not what it takes.
        """
        if self.threshold is not None and not self.threshold > 0:
            raise UserError(f"--threshold must be above 0, got {self.threshold}")
        for name in ("fpr", "fnr", "prior"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise UserError(f"--{name} must be above 0 and below 1, got {share}")
        if self.cost is not None and not self.cost > 0:
            raise UserError(f"--cost must be above 0, got {self.cost}")
        if self.threshold is not None and not run.is_calibrated(replica):
            return Decision(self.threshold, among)
        calibration = run.calibration(replica)
        model, prior = calibration.model, self.prior
        if model is not None and prior is None:
            looked_at = nearest[:: 1 + len(nearest) // LOOKED_AT]
            prior = model.estimate_prior(looked_at[np.isfinite(looked_at)], among=among)
        prior = 0.5 if prior is None else prior
        try:
            if self.threshold is not None:
                chosen = calibration.at(self.threshold) if model else None
            elif self.cost is not None:
                chosen = calibration.cheapest(self.cost, prior=prior, among=among)
            elif self.fnr is not None:
                chosen = calibration.missing(self.fnr)
            else:
                chosen = calibration.threshold(self.fpr, among=among)
        except ValueError as error:
            raise UserError(f"{run.directory}: {error}") from error
        distance = chosen.distance if chosen else self.threshold
        assert distance is not None
        return Decision(distance, among, chosen, model, prior, self.prior is None)
