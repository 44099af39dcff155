"""Plots of the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, NullLocator

from invlearn.closed_form.candidates import ROWS_PER_FEATURE
from invlearn.display.plots import style

__all__ = ["WAYS", "draw_closed_form", "draw_growth", "draw_scaling", "draw_steps"]

PEERS = {
    "invlearn_stack": ("invlearn", "#1f5fbf", "o"),
    "jax_scan": ("JAX", "#e69f00", "s"),
    "pytorch_loop": ("PyTorch loop", "#009e73", "^"),
    "lightning_trainer": ("Lightning", "#d62728", "D"),
    "matrix_products": ("matrix products alone", "#999999", "|"),
}

WAYS = {
    "invlearn_fixed": ("invlearn, fixed settings", "#1f5fbf", "o"),
    "discriminant": ("PolynomialFeatures + LDA", "#d62728", "D"),
    "slow_features": ("PolynomialFeatures + SFA", "#009e73", "^"),
    "invlearn_default": ("invlearn, default", "#1f5fbf", "s"),
}

STAGE_COLORS = ("#cccccc", "#9ecae1", "#1f5fbf", "#6baed6", "#e69f00", "#cc79a7", "#009e73", "#777777")


def draw_steps(table: pd.DataFrame) -> Figure:
    """Milliseconds per step and replica of each peer, one row per case."""
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
    """Time of a step against each setting, with the expected slope through the last point; and memory against pairs.

    Args:
        table: Columns ``axis`` (the setting), ``value``, ``ms`` and ``mib``.
        powers: Expected exponent of the time of a step, for each setting.
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


def draw_closed_form(table: pd.DataFrame, stages: pd.DataFrame) -> Figure:
    """Seconds of each method, by stage for closed forms, and memory of each.

    Args:
        table: Columns ``way``, ``seconds`` and ``mib``.
        stages: Columns ``way``, ``stage`` and ``seconds``.
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.6, 2.4), dpi=200, layout="constrained")
        times, memory = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        colors = dict(zip(stages["stage"].unique(), STAGE_COLORS, strict=False))
        for place, row in enumerate(table.to_dict("records")):
            parts = stages[stages["way"] == row["way"]]
            if len(parts):
                left = parts["seconds"].cumsum() - parts["seconds"]
                times.barh(place, parts["seconds"], 0.6, left=left, color=[colors[name] for name in parts["stage"]])
            else:
                times.barh(place, row["seconds"], 0.6, color="white", edgecolor="#555555", hatch="////", linewidth=0.6)
            memory.barh(place, row["mib"], 0.6, color="#555555")
            for axes, value, text in (
                (times, row["seconds"], f"{row['seconds']:.1f} s"),
                (memory, row["mib"], f"{row['mib']:,.0f} MiB"),
            ):
                axes.annotate(text, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
        times.set(xlabel="seconds", yticks=range(len(table)), yticklabels=[WAYS[way][0] for way in table["way"]])
        memory.set(xlabel="memory above that of the data, MiB")
        for axes, name in ((times, "seconds"), (memory, "mib")):
            axes.set_xlim(0, 1.22 * max(table[name].max(), 1e-3))
            axes.grid(axis="y", visible=False)
        times.invert_yaxis()
        handles = [Patch(color=color, label=name) for name, color in colors.items()]
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=len(handles),
            fontsize=6.5,
            columnspacing=1,
            handlelength=1,
        )
    return figure


def draw_growth(table: pd.DataFrame) -> Figure:
    """Time of the closed form against rows, rank and monomials, with the expected slopes; and memory against rows.

    Args:
        table: Columns ``axis``, ``way``, ``rows``, ``rank``, ``degree``, ``monomials``, ``seconds``, ``moments``,
            ``eigenproblem`` and ``mib``.
    """
    ours = table[table["way"] == "invlearn_fixed"]
    looks = {"moments": ("#e69f00", "s"), "eigenproblem": ("#cc79a7", "v")}
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.6, 5.0), dpi=200, layout="constrained")
        (by_rows, memory), (by_rank, by_monomials) = figure.subplots(2, 2)
        rows, rank = ours[ours["axis"] == "rows"], ours[ours["axis"] == "degree 2"]
        used = ROWS_PER_FEATURE * int(rows["monomials"].iloc[0])
        few = rows[rows["rows"] <= used]
        for axes, points, anchors, along, slopes in (
            (by_rows, rows, few, "rows", {"moments": 1, "eigenproblem": 0}),
            (by_rank, rank, rank, "rank", {"moments": 4, "eigenproblem": 6}),
        ):
            for stage, (color, marker) in looks.items():
                axes.loglog(points[along], points[stage], marker, color=color, ls="-", ms=3.5, label=stage)
                _expect(axes, anchors[along], anchors[stage].iloc[-1], slopes[stage])
        for way, (label, color, marker) in list(WAYS.items())[:3]:
            of_way = table[(table["way"] == way) & (table["axis"] == "rows")]
            memory.loglog(of_way["rows"], of_way["mib"], marker, color=color, ls="-", ms=3.5, label=label)
            if way != "invlearn_fixed":
                by_rows.loglog(of_way["rows"], of_way["seconds"], marker, color=color, ls="-", ms=3.5, label=label)
        last = table[(table["way"] == "discriminant") & (table["axis"] == "rows")]
        _expect(memory, last["rows"], last["mib"].iloc[-1], 1)
        _expect(memory, rows["rows"], rows["mib"].iloc[-1], 0)
        for axes in (by_rows, memory):
            axes.axvline(used, color="#999999", lw=0.8)
        for degree, (color, marker) in zip(
            (1, 2, 3), (("#e69f00", "s"), ("#1f5fbf", "o"), ("#009e73", "^")), strict=True
        ):
            points = ours[ours["axis"] == f"degree {degree}"]
            seconds = points["moments"] + points["eigenproblem"]
            by_monomials.loglog(
                points["monomials"], seconds, marker, color=color, ls="-", ms=3.5, label=f"degree {degree}"
            )
        size = rank["monomials"] / rank["monomials"].iloc[-1]
        expected = rank["moments"].iloc[-1] * size**2 + rank["eigenproblem"].iloc[-1] * size**3
        by_monomials.loglog(rank["monomials"], expected, ":", color="#555555", lw=1, label="a m² + b m³")
        by_rows.set(xlabel=f"rows, at rank {rows['rank'].iloc[0]}", ylabel="seconds")
        memory.set(xlabel=f"rows, at rank {rows['rank'].iloc[0]}", ylabel="memory above that of the data, MiB")
        by_rank.set(xlabel=f"rank r at degree 2, {rank['rows'].iloc[0]:,} rows", ylabel="seconds")
        by_monomials.set(xlabel=f"monomials m, {rank['rows'].iloc[0]:,} rows", ylabel="moments + eigenproblem, seconds")
        by_rank.set_xticks(rank["rank"], [f"{r}" for r in rank["rank"]])
        by_rank.xaxis.set_minor_locator(NullLocator())
        for axes in (by_rows, memory, by_rank, by_monomials):
            axes.legend(fontsize=6.5)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
    return figure


def _expect(axes: Axes, values: pd.Series, last: float, power: int) -> None:
    """Draw a power law that ends in a point."""
    expected = last * (values / values.iloc[-1]) ** power
    axes.loglog(values, expected, ":", color="#555555", lw=1, zorder=1)
    place = len(values) // 4 if power < 2 else 0  # where the plot has room
    at = (values.iloc[place], expected.iloc[place])
    axes.annotate(f"slope {power}", at, (6, -7), textcoords="offset points", fontsize=6.5)
