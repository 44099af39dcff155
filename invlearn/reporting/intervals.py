"""95% intervals of metrics over unseen entities, or over given pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.data.seeding import seeded_generator
from invlearn.evaluation.verdict import share_limits
from invlearn.reporting.evidence import Evidence

__all__ = ["intervals"]

DRAWS = 1_000
"""Number of bootstrap samples."""

TAILS = (0.025, 0.975)


def intervals(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Intervals of ``recall_at_1``, ``auroc`` and ``invariance_ratio``, if these vary.

    The first is Clopper and Pearson's. The others come from a bootstrap over independent units: entities of a file, or
    pairs.
    """
    hits = torch.cat(evidence.nearer) == 0
    found = {"recall_at_1": share_limits(int(hits.sum()), len(hits))} if len(hits) > 1 else {}
    distances = evidence.distances
    for name, values in (("auroc", distances.further), ("invariance_ratio", distances.relative)):
        if (interval := _of_means(values, distances.unit)) is not None:
            found[name] = interval
    return found


def _of_means(values: Tensor, unit: Tensor) -> tuple[float, float] | None:
    """Interval of the mean of values ``(m,)``, by resampling their units ``(m,)``; None if they do not vary."""
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
