"""The figure of a run: validation errors, or the spectrum of a closed form."""

from __future__ import annotations

from matplotlib.figure import Figure

from invlearn.display.plots import plot_candidates, plot_curves
from invlearn.runs.checkpoint import load_checkpoint
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST

__all__ = ["curves_figure"]


def curves_figure(directory: RunDirectory) -> Figure:
    """The figure of ``metrics.csv``.

    Raises:
        DamagedError: That file or the best checkpoint cannot be read.
    """
    table = directory.columns()
    if "degree" not in table:
        return plot_curves(table, directory.title())
    best = load_checkpoint(directory, BEST, "cpu")
    places = zip(table["replica"].tolist(), table["epoch"].tolist(), strict=True)
    widths_at = dict(zip(places, table["components"].tolist(), strict=True))
    widths = [int(widths_at[place]) for place in enumerate(best["best_epoch"].tolist())]
    shares = best["statistics"]["within_share"].double().numpy()
    return plot_candidates(table, shares, widths, directory.title())
