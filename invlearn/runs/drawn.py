"""The figure of a run: validation errors, the spectrum of a closed form, or the members of joined codes."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from invlearn.config.candidates import JOINED
from invlearn.display.plots import plot_candidates, plot_curves, plot_joined
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST

__all__ = ["curves_figure", "draw_curves"]


def draw_curves(directory: RunDirectory) -> None:
    """Write ``curves.png``.

    Raises:
        DamagedError: ``metrics.csv`` or the best checkpoint cannot be read.
        UserError: The file cannot be written.
    """
    image = io.BytesIO()
    curves_figure(directory).savefig(image, format="png")
    directory.write("curves.png", image.getvalue())


def curves_figure(directory: RunDirectory) -> Figure:
    """The figure of ``metrics.csv``.

    Raises:
        DamagedError: That file, the config or the best checkpoint cannot be read.
    """
    table = directory.columns()
    config = directory.config()
    if names := config["model"].get("members"):
        held_out = not str(config["dataset"].get("fold")).startswith("all")
        return plot_joined(table, [*names, JOINED], directory.title(), held_out=held_out)
    if "degree" not in table:
        return plot_curves(table, directory.title())
    from invlearn.runs.checkpoint import load_checkpoint  # imports torch, which the other figure does not need

    best = load_checkpoint(directory, BEST, "cpu")
    places = zip(table["replica"].tolist(), table["epoch"].tolist(), strict=True)
    widths_at = dict(zip(places, table["components"].tolist(), strict=True))
    widths = [int(widths_at[place]) for place in enumerate(best["best_epoch"].tolist())]
    shares = best["statistics"]["within_share"].double().numpy()
    return plot_candidates(table, shares, widths, directory.title())
