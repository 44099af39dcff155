"""Calibration: the code distance below which two samples count as the same entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy import special
from torch import Tensor

__all__ = ["RATES", "Calibration", "Threshold"]

RATES = (0.0, *(digit * 10.0**power for power in range(-6, -1) for digit in (1, 2, 5)), 0.1, 0.2)
"""False-positive rates for which a threshold is kept, as far as there are pairs enough to tell."""


class Threshold(NamedTuple):
    """A code distance below which two samples count as the same entity, and what it does to validation pairs."""

    distance: float
    """The distance."""
    false_positive_rate: float
    """Share of different pairs that are closer, 0 to 1."""
    true_positive_rate: float
    """Share of same pairs that are closer."""
    different_entities: int | None
    """How many pairs of different entities that rests on; None for a run that is older than this number."""

    def share(self, among: int, *, sure: float = 0.5) -> float:
        """Share of false matches among samples without a partner, each compared with so many others.

        Args:
            among: How many others a sample is compared with.
            sure: Probability, by as many validation pairs as there were, that it is no more (the upper limit of Clopper
                and Pearson); 0.5 is about what to expect.
        """
        of_pairs = self.false_positive_rate
        if self.different_entities is not None:
            closer = round(of_pairs * self.different_entities)
            of_pairs = float(special.betaincinv(closer + 1, self.different_entities - closer, sure))
        return 1 - (1 - of_pairs) ** among


@dataclass(frozen=True)
class Calibration:
    """Thresholds on code distances for several false-positive rates, from validation pairs.

    Args:
        rates: Shares of different pairs, 0 to 1, in ascending order; the first is 0.
        thresholds: For each the largest distance below which no larger share of different pairs is.
        true_positive_rates: Shares of same pairs below it.
        different_entities: Pairs of different entities that they rest on; None where that was not stored.
    """

    rates: Sequence[float]
    thresholds: Sequence[float]
    true_positive_rates: Sequence[float]
    different_entities: int | None = None

    @classmethod
    def fit(cls, distances: Tensor, same: Tensor, different_entities: int) -> Calibration | None:
        """Calibrate on pairs.

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

        Args:
            rate: Acceptable share of false matches, above 0 and below 1, when a sample without a partner is compared
                with ``among`` others. With too few validation pairs to estimate it, the smallest threshold is
                returned, and its ``share`` is larger.
            among: How many others a sample is compared with, at least 1.

        Raises:
            ValueError: One of them is out of range.
        """
        if not 0 < rate < 1:
            raise ValueError(f"a false-positive rate must be above 0 and below 1, got {rate}")
        if among < 1:
            raise ValueError(f"a sample must be compared with at least 1 other, got {among}")
        # If k of so many pairs are too close, so are k / pairs * among of the samples, on average, at most.
        index = max((index for index, of_pairs in enumerate(self.rates) if of_pairs * among <= rate), default=0)
        return Threshold(
            self.thresholds[index], self.rates[index], self.true_positive_rates[index], self.different_entities
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in run.json."""
        return {
            "false_positive_rate": list(self.rates),
            "threshold": list(self.thresholds),
            "true_positive_rate": list(self.true_positive_rates),
            "different_entities": self.different_entities,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """What ``to_dict`` gave, perhaps in an earlier version."""
        return cls(
            values["false_positive_rate"],
            values["threshold"],
            values["true_positive_rate"],
            values.get("different_entities"),
        )
