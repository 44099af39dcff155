"""The paper's figures, drawn from finished runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from invlearn.config import as_plain
from invlearn.display.plots import COLORS, LABELS, draw_band, style
from invlearn.errors import UserError
from invlearn.evaluation.metrics import METRICS
from invlearn.runs.checking import is_finished
from invlearn.runs.directory import RunDirectory
from invlearn.runs.reading import read_runs
from invlearn.sweeps.plan import Job, compose_sweep
from invlearn.training.choice import plan

__all__ = ["FIGURES", "FigureData", "draw", "read_figure"]

FIGURES = ("fig1", "fig2", "fig3", "fig4", "fig5")

WIDTH = 4.8
"""Text width of the paper in inches."""

_BLOCKS = ("modulus", "phase", "sine", "cosine")
_ACTIVATIONS = {"selu": "#1f5fbf", "relu": "#e69f00", "tanh": "#009e73", "sigmoid": "#cc79a7"}
_DIM_LINES: dict[int, LineStyleType] = {10: "-", 20: "--"}
_DOTS: dict[str, Any] = {"marker": "o", "markersize": 2.5}
_COLUMNS = {
    "dataset": "dataset",
    "dataset.dim": "d",
    "model": "model",
    "model.activation": "activation",
    "model.depth": "depth",
    "model.width": "width",
    "model.columns": "columns",
    "loss.code": "code",
    "loss.objective": "objective",
    "optimizer.lr": "lr",
    "replica_seed": "seed",
}


@dataclass(frozen=True)
class FigureData:
    """The data of a figure.

    Args:
        table: One row per finished run and seed: ``d``, ``depth`` and the other settings, then the metrics. Those of
            a seed that diverged are NaN, and its ``valid_loss`` is infinite.
        missing: Run directories of the figure's sweep that are not finished, or hold a run of another config.
    """

    table: pd.DataFrame
    missing: list[Path]


def read_figure(name: str, preset: str, overrides: Sequence[str] = ()) -> FigureData:
    """Find the runs that a figure's sweep names, and read those that are finished.

    Args:
        name: ``fig1`` to ``fig5``.
        preset: The preset that was trained.
        overrides: Further overrides of the trained sweep, as in ``["sweep=mine", "seed=5"]``.

    Raises:
        UserError: There is no such figure or preset.
    """
    jobs = compose_sweep([f"+grid={name}", f"preset={preset}", *overrides]).jobs
    fresh = [RunDirectory(job.folder) for job in jobs if _is_finished(job)]
    found = {directory.path for directory in fresh}
    missing = [job.folder for job in jobs if job.folder not in found]
    runs = read_runs(fresh)
    if runs.empty:
        return FigureData(pd.DataFrame(), missing)
    measured = [f"metrics.{metric}" for metric in (*METRICS, "valid_loss")]
    measured += [str(column) for column in runs if str(column).startswith("constants.")]
    table = runs.reindex(columns=[*_COLUMNS, *measured])
    # A diverged seed has no errors, and must not make its depth look good.
    diverged = runs["diverged"].astype(bool)
    table[measured] = table[measured].mask(diverged)
    table["metrics.valid_loss"] = table["metrics.valid_loss"].mask(diverged, np.inf)
    return FigureData(
        table.rename(columns=lambda column: _COLUMNS.get(column, column.removeprefix("metrics."))), missing
    )


def _is_finished(job: Job) -> bool:
    """Whether a run is finished, and is the one that the current grid means."""
    try:
        return is_finished(plan(as_plain(job.config)), RunDirectory(job.folder))
    except UserError:
        return False


def draw(name: str, table: pd.DataFrame) -> dict[str, Figure]:
    """Draw a figure from the table of ``read_figure``.

    Returns:
        Figures by the name of their file: the paper's, and for ``fig1`` a companion with all four activations.
    """
    with matplotlib.rc_context(style()):
        if name == "fig1":
            return {"fig1": _blocks_against_depth(table), "fig1-activations": _activations(table)}
        if name == "fig2":
            return {"fig2": _objectives(table)}
        if name == "fig3":
            return {"fig3": _extended_against_selu(table)}
        return {name: _pairwise(table)}


def _grid(rows: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(WIDTH, height), dpi=300, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
    for row in axes:
        for panel in row:
            panel.set_yscale("log")
    for panel in axes[-1]:
        panel.set_xlabel("depth (hidden layers)")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    return figure, [list(row) for row in axes]


def _whole_decades(panels: list[list[Axes]]) -> None:
    """Make the shared y axis of every row of panels start and end at a power of ten."""
    for row in panels:
        low, high = row[0].get_ylim()
        row[0].set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))


def _finish(figure: Figure, panels: list[list[Axes]], *, dims: bool = False) -> None:
    """Whole decades, and one legend above all panels, each label once; ``dims`` adds the lines of d = 10 and 20."""
    _whole_decades(panels)
    entries: dict[str, Line2D] = {}
    for line in (line for row in panels for panel in row for line in panel.get_lines()):
        label = str(line.get_label())
        if not label.startswith("_"):
            entry = entries.setdefault(label, Line2D([], []))
            entry.update_from(line)
            entry.set_marker("")
            if dims:
                entry.set_linestyle("-")
    if dims:
        drawn = {line.get_linestyle() for row in panels for panel in row for line in panel.get_lines()}
        entries |= {
            f"d = {dim}": Line2D([], [], color="0.3", linestyle=line)
            for dim, line in _DIM_LINES.items()
            if line in drawn
        }
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=len(entries),
        handlelength=1.5,
        columnspacing=1.2,
    )


def _blocks_against_depth(table: pd.DataFrame) -> Figure:
    """Figure 1: SELU; modulus and phase (left), modulus, sine and cosine (right)."""
    figure, panels = _grid(1, 2, 2.5)
    titles = {"modulus_phase": "I: modulus, phase", "modulus_sine_cosine": "II: modulus, sine, cosine"}
    for panel, (code, title) in zip(panels[0], titles.items(), strict=True):
        panel.set_title(title)
        rows = table[(table["activation"] == "selu") & (table["code"] == code)]
        _draw_blocks(panel, rows)
    panels[0][0].set_ylabel("test MSE")
    _finish(figure, panels, dims=True)
    return figure


def _draw_blocks(panel: Axes, rows: pd.DataFrame, blocks: tuple[str, ...] = _BLOCKS) -> None:
    for block in blocks:
        for dim, line in _DIM_LINES.items():
            here = rows[rows["d"] == dim]
            if here[f"mse_{block}"].notna().any():
                look: dict[str, Any] = {"color": COLORS[block], "linestyle": line, "label": LABELS[block]}
                draw_band(panel, here, "depth", f"mse_{block}", **look, **_DOTS)


def _activations(table: pd.DataFrame) -> Figure:
    figure, panels = _grid(1, 2, 2.3)
    for panel, dim in zip(panels[0], _DIM_LINES, strict=True):
        panel.set_title(f"d = {dim}")
        for activation, color in _ACTIVATIONS.items():
            rows = table[(table["activation"] == activation) & (table["code"] == "modulus_sine_cosine")]
            rows = rows[rows["d"] == dim]
            if not rows.empty:
                draw_band(panel, rows, "depth", "mse_modulus", color=color, label=activation, **_DOTS)
    panels[0][0].set_ylabel("test MSE of the modulus")
    _finish(figure, panels)
    return figure


def _objectives(table: pd.DataFrame) -> Figure:
    """Figure 2: what is trained in columns, d in rows."""
    figure, panels = _grid(2, 3, 3.4)
    titles = {"full": "full auto-encoder", "encoder": "encoder only", "decoder": "decoder only"}
    table = table[table["code"] == "modulus_sine_cosine"]
    for dim, row in zip(_DIM_LINES, panels, strict=True):
        row[0].set_ylabel(f"test MSE, d = {dim}")
        for panel, (objective, title) in zip(row, titles.items(), strict=True):
            if row is panels[0]:
                panel.set_title(title)
            rows = table[(table["d"] == dim) & (table["objective"] == objective)]
            for block in ("modulus", "sine", "cosine", "reconstruction"):
                if rows[f"mse_{block}"].notna().any():
                    draw_band(panel, rows, "depth", f"mse_{block}", color=COLORS[block], label=LABELS[block], **_DOTS)
    _finish(figure, panels)
    return figure


def _extended_against_selu(table: pd.DataFrame) -> Figure:
    """Figure 3: the invariant part of the code, and the whole; d in columns."""
    figure, panels = _grid(2, 2, 3.6)
    networks: dict[str, tuple[Callable[[pd.DataFrame], pd.Series], dict[str, str]]] = {
        "SELU": (lambda rows: rows["model"] == "StandardAutoEncoder", {"color": "#1f5fbf"}),
        "extended": (_is_the_papers, {"color": "#d98c00"}),
        "extended, width 4d (ours)": (
            lambda rows: (rows["model"] == "ExtendedAutoEncoder") & ~_is_the_papers(rows),
            {"color": "#e8c070", "linestyle": "--"},
        ),
    }
    for row, (metric, words) in zip(panels, {"mse_modulus": "modulus", "mse_code": "whole code"}.items(), strict=True):
        row[0].set_ylabel(f"test MSE, {words}")
        for panel, dim in zip(row, _DIM_LINES, strict=True):
            if row is panels[0]:
                panel.set_title(f"d = {dim}")
            for label, (belongs, look) in networks.items():
                rows = table[belongs(table) & (table["d"] == dim)]
                if not rows.empty:
                    draw_band(panel, rows, "depth", metric, label=label, **look, **_DOTS)
    _finish(figure, panels)
    return figure


def _is_the_papers(rows: pd.DataFrame) -> pd.Series:
    """Extended networks whose layers have as many columns as inputs, without a projection."""
    return (rows["model"] == "ExtendedAutoEncoder") & rows["width"].isna()


def _pairwise(table: pd.DataFrame) -> Figure:
    """Figures 4 and 5: reconstruction in red, invariant code in blue, one family per panel."""
    titles = {
        "Shift": "shift",
        "TwoPart": "two-part shift",
        "PermutationCycle": "permutation cycle",
        "ShiftScale": "shift and scale",
    }
    families = [family for family in titles if family in set(table["dataset"])]
    figure, panels = _grid(1, len(families), 2.5)
    for panel, family in zip(panels[0], families, strict=True):
        panel.set_title(titles[family])
        _draw_blocks(panel, table[table["dataset"] == family], ("reconstruction", "invariance"))
        panel.axhline(1e-4, color="0.5", lw=0.7, ls=":")
    panels[0][0].set_ylabel("test MSE")
    _finish(figure, panels, dims=True)
    return figure
