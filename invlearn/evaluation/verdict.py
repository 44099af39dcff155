"""Whether a code finds more entities than simple methods do, with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import scipy
import torch
from torch import Tensor

from invlearn.data.seeding import seeded_generator

__all__ = ["Verdict", "judge", "share_limits"]

RAW = "raw"
"""The method that every code must beat: raw samples."""

FEWEST = 20
"""Entities with which a verdict is given."""

DRAWS = 2_000
"""Bootstrap samples of the entities."""

SURE = 0.95
"""Coverage of intervals."""

LUCK = 0.001
"""p-value from which a recall counts as luck. It is strict, because nobody doubts a verdict of success."""


@dataclass(frozen=True)
class Verdict:
    """A comparison of a code with simple methods.

    Args:
        kind: ``few``: too few entities for a verdict; ``chance``: guessing may find as many, so that nothing was
            learned; ``raw``: no better than raw samples; ``worse``, ``equal`` or ``better`` than the best simple
            method.
        recall: Recall@1 of the code.
        among: Number of entities in each search.
        against: The method that it is compared with.
        difference: Recall of the code minus that of the method.
        low: Lower limit of the difference, 95%.
        high: Upper limit.
        entities: Number of all entities; more than ``among`` if the data were divided into folds.
        recall_low: Lower limit of the recall, 95%, by Clopper and Pearson; None in records of earlier versions.
        recall_high: Upper limit.
        p_value: Probability that guessing finds as many entities; None in records of earlier versions.
    """

    kind: Literal["few", "chance", "raw", "worse", "equal", "better"]
    recall: float
    among: int
    against: str
    difference: float
    low: float
    high: float
    entities: int | None = None
    recall_low: float | None = None
    recall_high: float | None = None
    p_value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def judge(hits: Tensor, others: Mapping[str, Tensor], among: int | None = None) -> Verdict:
    """Compare a code with simple methods on the same entities.

    The best method is chosen on the test entities, which favours the methods. Intervals come from a
    paired bootstrap over entities.

    Args:
        hits: Whether each entity was found by its code, ``(n,)``.
        others: The same for each method, including ``raw``; of equally good methods the first counts.
        among: Number of entities in each search; by default all.
    """
    n = len(hits)
    among = among or n

    def compared(name: str) -> tuple[float, float, float]:
        gains = hits.double() - others[name].double()
        rows = torch.randint(n, (DRAWS, n), generator=seeded_generator(0, "bootstrap"))
        tails = torch.tensor([(1 - SURE) / 2, (1 + SURE) / 2], dtype=torch.float64)
        low, high = gains.cpu()[rows].mean(1).quantile(tails).tolist()
        return float(gains.mean()), low, high

    best = max(others, key=lambda name: float(others[name].double().mean()))
    count = int(hits.sum())
    luck = float(scipy.special.bdtrc(count - 1, n, 1 / among))
    found = {name: compared(name) for name in {best, RAW}}
    against, kind = best, "equal"
    if n < FEWEST:
        kind = "few"
    elif luck >= LUCK:
        kind = "chance"
    elif found[RAW][1] <= 0:
        against, kind = RAW, "raw"
    elif found[best][1] > 0:
        kind = "better"
    elif found[best][2] < 0:
        kind = "worse"
    recall = float(hits.double().mean())
    return Verdict(kind, recall, among, against, *found[against], n, *share_limits(count, n), luck)


def share_limits(count: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's 95% limits of a probability, from a number of successes.

    Args:
        count: Number of successes.
        of: Number of independent trials, at least 1.
    """
    tail = (1 - SURE) / 2
    low = float(scipy.special.betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(scipy.special.betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high
