"""Plots of an audit: the profile, the spectrum with its gap, generators, and metamers beside their targets."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invlearn.auditing.audit import Audit
from invlearn.display.plots import COLORS, style

__all__ = ["pictures"]

SHOWN = 12
"""Maximal number of generators or metamers that are drawn."""

SMALLEST = 1e-8
"""Start of the logarithmic axes; values below are rounding errors."""

VERDICTS = {"ignored": "#1f5fbf", "taken for the same": "#e69f00", "told apart": "#777777"}
"""Colour of each verdict."""


def pictures(audit: Audit) -> Iterator[tuple[str, bytes]]:
    """Name and content of each plot."""
    with matplotlib.rc_context(style()):
        yield "profile.png", _png(_profile(audit))
        yield "spectrum.png", _png(_spectrum(audit))
        if audit.generators:
            yield "generators.png", _png(_generators(audit))
        if audit.trial is not None and len(audit.trial.most_telling):
            yield "metamers.png", _png(_metamers(audit))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.05)  # labels are never cut
    return buffer.getvalue()


def _profile(audit: Audit) -> Figure:
    rows = audit.reactions[::-1]
    figure = Figure(figsize=(5.5, 0.8 + 0.22 * len(rows)), dpi=200, layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(rows):
        value, low, high = (max(number, SMALLEST) for number in (one.strength, one.low, one.high))
        color = COLORS["reconstruction"] if one.is_blind else VERDICTS[one.verdict]
        axes.plot([low, high], [place, place], color=color, lw=3, alpha=0.4)
        axes.plot(value, place, "o", ms=4, color=color)
        if one.orbit is not None:
            axes.plot(max(one.orbit, SMALLEST), place, "|", ms=8, color="black")
    for label, color in {**VERDICTS, "ignored, blind": COLORS["reconstruction"]}.items():
        axes.plot([], [], "o", ms=4, color=color, label=label)
    if any(one.orbit is not None for one in rows):
        axes.plot([], [], "|", ms=8, color="black", label="true distance")
    axes.axvline(1, color="black", lw=0.5)
    axes.set(xscale="log", xlim=(SMALLEST / 2, None), xlabel="distance of codes (strangers: 1; below 1e-8 rounding)")
    axes.set_yticks(range(len(rows)), [one.distortion for one in rows])
    figure.legend(loc="outside lower center", ncols=5, fontsize=6)
    return figure


def _spectrum(audit: Audit) -> Figure:
    values = np.clip(audit.algebra.linear.values.numpy(), SMALLEST, None)
    dimension = audit.algebra.dimension
    values = values[: max(2 * dimension, dimension + 20)]
    figure = Figure(figsize=(3.5, 2.6), dpi=200, layout="constrained")
    axes = figure.subplots()
    order = np.arange(1, len(values) + 1)
    ignored, others = order <= dimension, order > dimension
    axes.plot(order[ignored], values[ignored], "o", ms=3, color=COLORS["reconstruction"], label="symmetries")
    axes.plot(order[others], values[others], "o", ms=3, color=COLORS["invariance"], label="no symmetries")
    axes.set(yscale="log", ylim=(SMALLEST / 2, None), xlabel="move X", ylabel="change of the code\n(random moves: 1)")
    axes.set_title(f"dimension {dimension}")
    axes.legend()
    return figure


def _grid(count: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    columns = min(count, 4)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=200, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for one in axes[count:]:
        one.set_axis_off()
    return figure, axes[:count]


def _generators(audit: Audit) -> Figure:
    shown = audit.generators[:SHOWN]
    figure, grid = _grid(len(shown), (1.8, 2.0))
    for axes, one in zip(grid, shown, strict=True):
        relative = one.matrix / one.matrix.abs().max()
        axes.imshow(relative.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(
            textwrap.fill(one.description, 26), fontsize=6, color=COLORS["reconstruction"] if one.blind else "black"
        )
        axes.grid(visible=False)
        axes.tick_params(labelsize=5)
    bar = figure.colorbar(grid[0].images[0], ax=figure.axes, shrink=0.6, ticks=[-1, 0, 1])
    bar.ax.tick_params(labelsize=5)
    figure.suptitle(
        "generators X, entries relative to the largest; features in their own order (red: blind)", fontsize=7
    )
    return figure


def _metamers(audit: Audit) -> Figure:
    trial = audit.trial
    assert trial is not None
    shown = trial.most_telling[:SHOWN].tolist()
    far, what = (trial.apart, "true distance") if trial.apart is not None else (trial.from_known, "from known samples")
    assert far is not None
    figure, grid = _grid(len(shown), (1.9, 1.5))
    for axes, index in zip(grid, shown, strict=True):
        target, metamer = (x[index] / audit.data.unit for x in (trial.targets, trial.found.x))
        axes.plot(target.numpy(), color="black", label="target")
        axes.plot(metamer.numpy(), color=COLORS["reconstruction"], label="metamer")
        axes.set_title(f"{what} {float(far[index]):.2g}", fontsize=6)
        axes.tick_params(labelsize=5)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=6)
    unit = "strangers: 1" if trial.apart is not None else "within entities: 1"
    features = "features along the axis" + (", in spreads" if audit.data.has_mixed_units else "")
    figure.suptitle(f"metamers: samples with the target's code, the farthest first ({unit}); {features}", fontsize=7)
    return figure
