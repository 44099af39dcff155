"""Plots of the comparisons and of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from examples.cycle import Amount
from examples.problem import Problem
from invlearn.display.plots import draw_band, style

__all__ = ["draw_amounts", "draw_scores", "draw_views"]

OURS, OTHERS = "#1f5fbf", "#777777"

COLORS = ("#000000", "#999999", "#009e73", "#d55e00", "#1f5fbf", "#e69f00", "#56b4e9", "#cc79a7", "#7a3db8")
MARKERS = "*os^Dv<PX"

LABELS = {
    "entities": "entities to learn from",
    "copies": "samples of each",
    "noise": "noise (signals: 0.58)",
    "wrong": "share of wrong labels",
}


def draw_scores(table: pd.DataFrame) -> Figure:
    """Recall@1 of each method, a dot for each seed and a line at their mean."""
    with matplotlib.rc_context(style()):
        names = list(dict.fromkeys(table["method"]))
        figure = Figure(figsize=(5.0, 0.5 + 0.22 * len(names)), dpi=200, layout="constrained")
        axes = figure.subplots()
        for row, name in enumerate(names):
            recalls = table.loc[table["method"] == name, "recall_at_1"]
            color = OURS if name.startswith("invlearn") else OTHERS
            axes.plot(recalls, [row] * len(recalls), "o", color=color, markersize=4, alpha=0.6, markeredgewidth=0)
            axes.plot([recalls.mean()] * 2, [row - 0.3, row + 0.3], color=color)
        axes.set(xlim=(-0.03, 1.03), xlabel="recall@1 of unseen entities", yticks=range(len(names)), yticklabels=names)
        axes.invert_yaxis()
    return figure


def draw_views(problem: Problem, *, square: bool) -> Figure:
    """Two views each of some test entities, one above the other: as images if ``square``, else as curves."""
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(5.0, 1.5), dpi=200, layout="constrained")
        for column, axes in enumerate(figure.subplots(2, 8).T):
            for panel, views in zip(axes, problem.test, strict=True):
                if square:
                    side = math.isqrt(len(views[column]))
                    panel.imshow(views[column].reshape(side, side), cmap="gray_r", interpolation="nearest")
                else:
                    panel.plot(views[column], color=OURS, linewidth=0.8)
                panel.set(xticks=[], yticks=[])
                panel.grid(visible=False)
        figure.supylabel("two views", fontsize=8)
    return figure


def draw_amounts(table: pd.DataFrame, varied: Sequence[str]) -> Figure:
    """Recall@1 of each method against each varied part of the amount: medians and ranges.

    Args:
        table: The scores, with a column for each part of an ``Amount``.
        varied: Those parts, one panel each.
    """
    start = asdict(Amount())
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.8, 2.4), dpi=200, layout="constrained")
        panels = figure.subplots(1, len(varied), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, varied, strict=True):
            others = [other for other in start if other != name]
            rows = table[(table[others] == pd.Series(start)[others]).all(axis=1)]
            for index, (method, scores) in enumerate(rows.groupby("method", sort=False)):
                look = {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}
                draw_band(axes, scores, name, "recall_at_1", label=str(method), markersize=3, **look)
            axes.set(xlabel=LABELS[name], ylim=(-0.03, 1.03))
            if name == "entities":
                axes.set_xscale("log")
            else:
                values = sorted(rows[name].unique())
                axes.set_xticks(values, [f"{value:g}" for value in values])
        panels[0].set_ylabel("recall@1 among 1,000")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure
