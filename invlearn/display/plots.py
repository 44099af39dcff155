"""Plots: a table in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLORS", "LABELS", "draw_band", "plot_candidates", "plot_curves", "plot_joined", "style"]

LIFTS = {
    0: ("lengths in a frame", "#d62728"),
    1: ("degree 1", "#e69f00"),
    2: ("degree 2", "#1f5fbf"),
    3: ("degree 3", "#009e73"),
}
"""Names and colours of a closed form's candidates, by the degree in metrics.csv."""

FITS = ("replica", "rank", "centred", "sphered", "bounded", "ridge")
"""Columns that tell fits of one degree apart; older runs lack one."""

FLOOR = 1e-34
"""Share of variance below which there are only rounding errors."""

COLORS = {"reconstruction": "#d62728", "invariance": "#1f5fbf", "modulus": "#1f5fbf", "phase": "#e69f00"}
COLORS |= {"sine": "#009e73", "cosine": "#cc79a7"}
"""Reconstruction in red and the invariant code in blue, as in the paper; the others are colour-blind-safe."""

LABELS = {
    "reconstruction": "reconstruction",
    "invariance": "invariant code",
    "modulus": "modulus",
    "phase": "phase",
    "sine": "sine",
    "cosine": "cosine",
}
"""Names of the parts of the code and of the reconstruction in plots."""


def style() -> dict[Any, Any]:
    """Settings of all figures, readable when printed one column wide."""
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


Columns = Mapping[str, np.ndarray]


def draw_band(
    axes: Axes, table: Columns | pd.DataFrame, x: str, y: str, *, color: str, label: str, **look: Any
) -> None:
    """Draw the median of ``y`` over all rows with the same ``x``, and a band from the lowest to the highest.

    Args:
        axes: The axes.
        table: One row per seed and ``x``.
        x: A column.
        y: A column; infinities are left out.
        color: Colour of the line and the band.
        label: Label in the legend.
        look: Further settings of the line.
    """
    values = np.asarray(table[y], dtype=float)
    places, at = np.unique(np.asarray(table[x]), return_inverse=True)
    finite = [values[(at == index) & np.isfinite(values)] for index in range(len(places))]
    groups = [group if len(group) else np.array([np.nan]) for group in finite]  # a gap in the line
    axes.plot(places, [np.median(group) for group in groups], color=color, label=label, **look)
    if len(values) > len(groups):
        lows, highs = zip(*((group.min(), group.max()) for group in groups), strict=True)
        axes.fill_between(places, lows, highs, color=color, alpha=0.18, lw=0)


def plot_candidates(table: Columns, shares: np.ndarray, widths: Sequence[int], title: str) -> Figure:
    """Scores of the candidates of a closed form, and the spectrum of the chosen one.

    Args:
        table: The columns of metrics.csv, a row per replica and candidate.
        shares: Share of variance within entities of each direction, ascending, ``(R, K)``.
        widths: Width of each replica's code, ``(R,)``.
        title: Title of the figure.
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(3.5, 4.6), dpi=200, layout="constrained")
        spectrum, scores = figure.subplots(2)
        for row, width in zip(shares, widths, strict=True):
            order = np.arange(1, len(row) + 1)
            spectrum.plot(order, np.clip(row, FLOOR, None), color=COLORS["invariance"], marker=".", ms=3, lw=0.8)
            spectrum.axvline(width + 0.5, color=COLORS["reconstruction"], lw=0.8)
        spectrum.set(yscale="log", xlabel="direction", ylabel="share of variance\nwithin entities", title=title)
        spectrum.plot([], [], color=COLORS["reconstruction"], label="the code ends here")
        spectrum.legend()
        for degree, (name, color) in LIFTS.items():
            rows = table["degree"] == degree
            curves = np.stack([table[key][rows] for key in FITS if key in table], axis=1)
            for curve in np.unique(curves, axis=0):
                here = (curves == curve).all(1)
                tried = table["components"][rows][here], table["valid_loss"][rows][here]
                scores.plot(*tried, marker=".", ms=2, lw=0.6, color=color, alpha=0.5)
            if rows.any():
                scores.plot([], [], color=color, label=name)
        for replica, width in enumerate(widths):
            tried = table["valid_loss"][(table["replica"] == replica) & (table["components"] == width)]
            scores.plot(width, tried.min(), "o", ms=6, mfc="none", color="black")
        scores.plot([], [], "o", ms=6, mfc="none", color="black", label="chosen")
        scores.set(xscale="log", yscale="log", xlabel="width of the code", ylabel="validation score")
        scores.legend()
    return figure


def plot_joined(table: Columns, names: Sequence[str], title: str, *, held_out: bool) -> Figure:
    """Scores of the members of joined codes, and of the joined codes.

    Args:
        table: The columns of metrics.csv, a row per replica and name.
        names: The members and the joined codes.
        title: Title of the figure.
        held_out: Whether the scores are those of held-out data.
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(3.5, 0.8 + 0.35 * len(names)), dpi=200, layout="constrained")
        axes = figure.subplots()
        scores, places = table["valid_loss"], table["epoch"] - 1
        axes.plot(scores, places, "o", ms=4, mfc="none", color=COLORS["invariance"])
        axes.set_yticks(range(len(names)), names)
        axes.set(
            xscale="log" if (scores > 0).all() and scores.max() > 10 * scores.min() else "linear",
            ylim=(len(names) - 0.5, -0.5),
            xlabel=f"{'validation score' if held_out else 'score on training entities'} (lower is better)",
            title=title,
        )
    return figure


def plot_curves(table: Columns, title: str) -> Figure:
    """Validation errors of one run against the epoch.

    Args:
        table: The columns of metrics.csv; each ``valid_mse_…`` column of ``COLORS`` is a line, the median over
            replicas, with a band from the lowest to the highest; without any, ``valid_loss`` does.
        title: Title of the figure.
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(3.5, 2.6), dpi=200, layout="constrained")
        axes = figure.subplots()
        for name, color in COLORS.items():
            if f"valid_mse_{name}" in table:
                draw_band(axes, table, "epoch", f"valid_mse_{name}", color=color, label=LABELS[name])
        has_errors = bool(axes.lines)
        if not has_errors:
            draw_band(axes, table, "epoch", "valid_loss", color=COLORS["invariance"], label="loss")
        axes.set(
            yscale="log", xlabel="epoch", ylabel="validation MSE" if has_errors else "validation loss", title=title
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        replicas = len(set(table["replica"]))
        heading = f"median and range of {replicas} replicas" if replicas > 1 else None
        axes.legend(title=heading, title_fontsize=7)
    return figure
