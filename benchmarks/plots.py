"""What the benchmarks draw."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from invlearn.report.plots import style

__all__ = ["draw_scaling", "draw_steps"]

PEERS = {
    "invlearn_stack": ("invlearn", "#1f5fbf", "o"),
    "jax_scan": ("JAX", "#e69f00", "s"),
    "pytorch_loop": ("PyTorch loop", "#009e73", "^"),
    "lightning_trainer": ("Lightning", "#d62728", "D"),
    "matrix_products": ("matrix products alone", "#999999", "|"),
}


def draw_steps(table: pd.DataFrame) -> Figure:
    """Milliseconds a step and replica of each peer, a row for each case."""
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(5.5, 0.7 + 0.19 * len(table)), dpi=200, layout="constrained")
        axes = figure.subplots()
        rows = range(len(table))
        for peer, (label, color, marker) in PEERS.items():
            if peer in table:
                per_run = table[peer] / table["replicas"]
                look = {"markersize": 4 if marker != "|" else 8, "zorder": 4 if peer == "invlearn_stack" else 3}
                axes.plot(per_run, rows, marker, color=color, label=label, **look)
        names = [
            f"{row.model}, {str(row.loss).partition('_')[0]}, d = {row.dim}, depth {row.depth}"
            f"{f', R = {row.replicas}' if row.replicas > 1 else ''}{', 2 threads' if row.threads > 1 else ''}"
            for row in table.itertuples()
        ]
        axes.set(xscale="log", xlabel="ms a step and replica", yticks=list(rows), yticklabels=names)
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=len(PEERS), fontsize=7, handletextpad=0.2, columnspacing=1)
    return figure


def draw_scaling(table: pd.DataFrame, powers: Mapping[str, int]) -> Figure:
    """What a step costs against each setting, with the slope expected through the last point; and memory against pairs.

    Args:
        table: Columns ``axis`` (the setting), ``value``, ``ms`` and ``mib``.
        powers: For each setting, the power of it that a step should cost.
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.6, 3.9), dpi=200, layout="constrained")
        panels = figure.subplots(2, 3).flatten()
        for panel, (axis, power) in zip(panels, powers.items(), strict=False):
            rows = table[table["axis"] == axis]
            last = rows.iloc[-1]
            panel.loglog(rows["value"], rows["ms"], "o-", color="#1f5fbf", markersize=3, label="measured")
            expected = last["ms"] * (rows["value"] / last["value"]) ** power
            panel.loglog(rows["value"], expected, ":", color="#555555", label=f"slope {power}")
            panel.set(xlabel=axis, ylabel="ms a step")
            if rows["ms"].max() < 3 * rows["ms"].min():
                panel.set_ylim(rows["ms"].min() / 4, rows["ms"].max() * 4)
            panel.legend(fontsize=7)
        rows = table[table["axis"] == "dataset.size"]
        panels[-1].loglog(rows["value"], rows["mib"], "o-", color="#1f5fbf", markersize=3)
        panels[-1].set(xlabel="dataset.size", ylabel="memory of the process, MiB")
        for panel in panels:
            panel.yaxis.set_minor_formatter(NullFormatter())
    return figure
