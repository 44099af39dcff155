"""Recall against the size of the gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor

from invlearn.evaluation.verdict import share_limits
from invlearn.reporting.blocks import Chart, Section
from invlearn.reporting.charts import BASELINE, SAME, chart, label_of
from invlearn.reporting.context import Context
from invlearn.reporting.texts import share

__all__ = ["recall", "recall_chart", "recalls"]

TICKS = (2, 5, 10, 20, 50, 100, 200, 500, 1_000)

HIGHEST_START = 0.9
"""Largest recall at which the axis may start, so that differences of thousandths look small."""

POINTS = 40
"""Number of gallery sizes that are drawn."""


def recall(context: Context) -> Section | None:
    """recall@1 against the size of the gallery."""
    evidence = context.evidence
    if evidence is None or min(map(len, evidence.nearer)) < 3:
        return None
    of = min(map(len, evidence.nearer))
    at_most = float(recalls(evidence.nearer, np.array([of]))[0])
    total = sum(map(len, evidence.nearer))
    low, high = share_limits(round(at_most * total), total)
    curves = {"this run": (evidence.nearer, SAME), "raw samples": (evidence.raw_nearer, BASELINE)}
    told = f"{share(at_most)} of {total:,} entities are found among {of:,} (95% interval {share(low)} to {share(high)})"
    return Section(
        "Finding an entity among many",
        [
            Chart(
                recall_chart(curves),
                f"Share of entities found against the size of the gallery: {told}.",
                f"Share of entities whose nearest code in a gallery is their own, against its size; {told}. Smaller "
                "galleries are averaged over all subsets of the largest.",
            )
        ],
    )


def recalls(nearer: Sequence[Tensor], sizes: np.ndarray) -> np.ndarray:
    r"""Expected recall@1 in random galleries of some sizes, ``(t,)``.

    A query with r of n - 1 strangers at least as near as its own entity is found in a gallery of m with probability
    :math:`\prod_{i=1}^{r} \left(1 - \frac{m-1}{n-i}\right)`, that none of the r is drawn.

    Args:
        nearer: r of each query, ``(n,)`` for each division; a division is a gallery of its own.
        sizes: m, at most the smallest n.
    """
    found = np.zeros(len(sizes))
    for ranks in nearer:
        n = len(ranks)
        chances = np.clip(1 - (sizes[:, None] - 1) / (n - np.arange(1, n)), 0, 1)
        chances = np.concatenate([np.ones((len(sizes), 1)), np.cumprod(chances, axis=1)], axis=1)
        found += chances[:, ranks.numpy()].sum(1)
    return found / sum(map(len, nearer))


def recall_chart(curves: Mapping[str, tuple[Sequence[Tensor], str]]) -> Markup:
    """recall@1 against the size of the gallery, a line for each name."""

    def draw(axes: Axes) -> None:
        least = HIGHEST_START
        for name, (nearer, color) in curves.items():
            sizes = np.unique(np.geomspace(2, min(map(len, nearer)), POINTS).round().astype(np.int64))
            found = recalls(nearer, sizes)
            least = min(least, found[-1])
            axes.plot(sizes, found, color=color, label=label_of(name))
        largest = max(min(map(len, nearer)) for nearer, _ in curves.values())
        margin = 0.1 * (1 - least)
        axes.set(xscale="log", xlim=(2, largest), ylim=(least - margin, 1 + margin))
        axes.set(xlabel="entities in the gallery", ylabel="found (recall@1)")
        axes.set_xticks([size for size in TICKS if size <= largest], [f"{size:,}" for size in TICKS if size <= largest])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(loc="best")

    return chart(draw)
