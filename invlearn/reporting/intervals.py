"""95% intervals of metrics over unseen entities, or over given pairs."""

from __future__ import annotations

import torch
from scipy import special
from torch import Tensor

from invlearn.data.seeding import seeded_generator
from invlearn.reporting.evidence import Evidence

__all__ = ["hit_interval", "intervals"]

DRAWS = 1_000
"""Bootstrap samples."""

TAILS = (0.025, 0.975)


def intervals(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Intervals of ``recall_at_1``, ``auroc`` and ``invariance_ratio``, as far as they vary.

    The first is Clopper and Pearson's. The others come from a bootstrap over what is independent: entities of a file,
    or pairs.
    """
    hits = torch.cat(evidence.nearer) == 0
    found = {"recall_at_1": hit_interval(int(hits.sum()), len(hits))} if len(hits) > 1 else {}
    distances = evidence.distances
    for name, values in (("auroc", distances.further), ("invariance_ratio", distances.relative)):
        if (interval := _of_means(values, distances.unit)) is not None:
            found[name] = interval
    return found


def hit_interval(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of n."""
    low = float(special.betaincinv(hits, n - hits + 1, TAILS[0])) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, TAILS[1])) if hits < n else 1.0
    return low, high


def _of_means(values: Tensor, unit: Tensor) -> tuple[float, float] | None:
    """Of the mean of values ``(m,)`` whose units ``(m,)`` are drawn again; None where they do not vary."""
    _, index, counts = unit.unique(return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    sums = values.new_zeros(len(counts)).index_add(0, index, values)
    if not float(sums.std()) > 0:
        return None
    rows = torch.randint(len(counts), (DRAWS, len(counts)), generator=seeded_generator(0, "report", "bootstrap"))
    means = sums[rows].sum(1) / counts[rows].sum(1)
    low, high = means.quantile(torch.tensor(TAILS, dtype=means.dtype)).tolist()
    return low, high
