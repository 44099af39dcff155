"""Plots: a table in, a figure out."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["COLORS", "plot_curves", "style"]

COLORS = {"reconstruction": "#d62728", "invariance": "#1f5fbf", "modulus": "#1f5fbf", "phase": "#e69f00"}
COLORS |= {"sine": "#009e73", "cosine": "#cc79a7"}
"""Reconstruction in red and the invariant code in blue, as in the paper; the others are told apart by colour-blind
readers too."""

_LABELS = {
    "reconstruction": "reconstruction",
    "invariance": "invariant code",
    "modulus": "modulus",
    "phase": "phase",
    "sine": "sine",
    "cosine": "cosine",
}


def style() -> dict[Any, Any]:
    """Settings of every figure: readable when printed one column wide."""
    return {
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.3,
        "legend.frameon": False,
    }


def plot_curves(table: pd.DataFrame, title: str) -> Figure:
    """Validation errors of one run against the epoch.

    Args:
        table: The rows of metrics.csv; every ``valid_mse_…`` column becomes a line, the median over replicas, with a
            band from the lowest to the highest.
        title: What was trained.
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(3.5, 2.6), dpi=200, layout="constrained")
        axes = figure.subplots()
        for name, color in COLORS.items():
            column = f"valid_mse_{name}"
            if column not in table:
                continue
            curves = table.pivot(index="epoch", columns="replica", values=column).replace([np.inf], np.nan)
            axes.plot(curves.index, curves.median(axis=1), color=color, label=_LABELS[name])
            if curves.shape[1] > 1:
                axes.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=color, alpha=0.18, lw=0)
        axes.set(yscale="log", xlabel="epoch", ylabel="validation MSE", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        replicas = len(set(table["replica"]))
        heading = f"median and range of {replicas} replicas" if replicas > 1 else None
        axes.legend(title=heading, title_fontsize=7)
    return figure
