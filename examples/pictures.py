"""Pictures of the comparisons, and of what is compared."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from examples.problem import Problem
from invlearn.plotting import style

__all__ = ["draw_scores", "draw_views"]

OURS, OTHERS = "#1f5fbf", "#777777"


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
                    panel.imshow(views[column].reshape(8, 8), cmap="gray_r", interpolation="nearest")
                else:
                    panel.plot(views[column], color=OURS, linewidth=0.8)
                panel.set(xticks=[], yticks=[])
                panel.grid(visible=False)
        figure.supylabel("two views", fontsize=8)
    return figure
