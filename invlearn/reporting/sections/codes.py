"""A map of codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from invlearn.reporting.blocks import Chart, Section
from invlearn.reporting.charts import BASELINE, SERIES, chart, label_of
from invlearn.reporting.columns import column_of
from invlearn.reporting.context import Context
from invlearn.reporting.layout import laid_out

__all__ = ["codes"]

COLORED = 6
"""Maximal number of values of a column with their own colours; the others are grey."""

NAMED = 16
"""Maximal number of characters of a value in the legend, which has two columns."""

MANY = 20
"""Number of values of a column of numbers from which the colour scale is continuous."""


def codes(context: Context) -> Section | None:
    """The invariant codes of unseen samples in the plane."""
    evidence = context.evidence
    if evidence is None or len(evidence.samples.x) < 3:
        return None
    places, how = laid_out(evidence.codes, context.options.layout)
    color = context.options.color
    values = pd.Series(list(evidence.samples.names)) if color is None else column_of(evidence.samples, context, color)
    numeric = pd.to_numeric(values, errors="coerce") if color is not None else None
    x, y = places.T.numpy()
    is_continuous = numeric is not None and numeric.notna().all() and numeric.nunique() > MANY

    _, entity = torch.unique_consecutive(evidence.samples.entity, return_inverse=True)
    joined = (entity[1:] == entity[:-1]).nonzero()[:, 0]
    lines = np.stack([places.numpy()[joined], places.numpy()[joined + 1]], axis=1)

    def draw(axes: Axes) -> None:
        axes.add_collection(LineCollection(list(lines), colors=BASELINE, linewidths=0.6, alpha=0.4))
        if is_continuous and numeric is not None:
            points = axes.scatter(x, y, c=numeric, s=9, cmap="viridis", lw=0)
            axes.figure.colorbar(points, ax=axes, label=label_of(str(color)))
        else:
            _by_value(axes, x, y, values)
        axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
        axes.grid(visible=False)

    by = "entity" if color is None else color
    rest = "" if is_continuous or values.nunique() <= COLORED else f"; {COLORED} have a colour, the others are grey"
    return Section(
        "Map of codes",
        [
            Chart(
                chart(draw, width=4.6, height=4.6),
                f"Map of the invariant codes of {len(x):,} unseen samples, coloured by {by}.",
                f"Invariant codes of {len(x):,} unseen samples: {how}. Colours: {by}{rest}. "
                "Lines join samples of one entity.",
                is_large=True,
            )
        ],
    )


def _by_value(axes: Axes, x: np.ndarray, y: np.ndarray, values: pd.Series) -> None:
    shown: Sequence[object] = list(values.value_counts(sort=True).index[:COLORED])
    others = ~values.isin(shown).to_numpy()
    axes.scatter(x[others], y[others], s=6, color=BASELINE, alpha=0.35, lw=0)
    for value, color, marker in zip(shown, SERIES, "osD^vPX*"[: len(shown)], strict=False):
        chosen = (values == value).to_numpy()
        axes.scatter(x[chosen], y[chosen], s=16, color=color, marker=marker, lw=0, label=label_of(str(value), NAMED))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, fontsize=9, handletextpad=0.2, columnspacing=1)
