"""Whether a code finds more entities than simple methods do, with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from scipy import special
from torch import Tensor

from invlearn.data.seeding import seeded_generator

__all__ = ["Verdict", "judge"]

RAW = "raw"
"""The method that every code must beat: samples as they are."""

FEWEST = 20
"""Entities with which a verdict is given."""

DRAWS = 2_000
"""Bootstrap samples of the entities."""

SURE = 0.95
"""Coverage of intervals."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a code.

    Args:
        kind: ``few``: too few entities to tell; ``chance``: no better than guessing, so that nothing was learned;
            ``raw``: no better than samples as they are; ``worse``, ``equal`` or ``better`` than the best simple method.
        recall: Its recall at 1.
        among: Entities that were searched at a time.
        against: The method that it is compared with.
        difference: Its recall less that of the method.
        low: Lower limit of the difference, 95%.
        high: Upper limit.
        entities: How many were searched for; more than ``among`` where the data were divided into folds.
    """

    kind: Literal["few", "chance", "raw", "worse", "equal", "better"]
    recall: float
    among: int
    against: str
    difference: float
    low: float
    high: float
    entities: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def judge(hits: Tensor, others: Mapping[str, Tensor], among: int | None = None) -> Verdict:
    """Compare a code with simple methods on the same entities.

    The best of the methods is taken on the entities that are judged, which favours the methods. Intervals come from a
    paired bootstrap over entities.

    Args:
        hits: Whether each entity was found by its code, ``(n,)``.
        others: The same of each method, ``raw`` among them; of equally good ones the first counts.
        among: Entities that were searched at a time; by default all.
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
    # Clopper and Pearson's lower limit.
    least = float(special.betaincinv(count, n - count + 1, (1 - SURE) / 2)) if count else 0.0
    found = {name: compared(name) for name in {best, RAW}}
    against, kind = best, "equal"
    if n < FEWEST:
        kind = "few"
    elif least <= 1 / among:
        kind = "chance"
    elif found[RAW][1] <= 0:
        against, kind = RAW, "raw"
    elif found[best][1] > 0:
        kind = "better"
    elif found[best][2] < 0:
        kind = "worse"
    return Verdict(kind, float(hits.double().mean()), among, against, *found[against], n)
