"""What a plot shows, read back from the figure."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex

from invlearn.display.plots import COLORS, plot_curves


def table(replicas: int) -> dict[str, np.ndarray]:
    rows = [
        {
            "replica": r,
            "epoch": e,
            "valid_mse_reconstruction": (r + 1) * 10.0**-e,
            "valid_mse_invariance": 10.0 ** -(e + 1),
        }
        for r in range(replicas)
        for e in (1, 2, 3)
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_curves_show_the_median_in_the_papers_colours_on_a_log_axis() -> None:
    (axes,) = plot_curves(table(3), "a title").axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"reconstruction", "invariant code"}
    assert [float(y) for y in lines["reconstruction"].get_ydata()] == [2 * 10.0**-e for e in (1, 2, 3)]  # type: ignore[union-attr]
    assert to_hex(lines["reconstruction"].get_color()) == COLORS["reconstruction"]
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("epoch", "validation MSE", "a title")
    assert len(axes.collections) == 2  # a band each
    assert (axes.get_legend().get_title().get_text()) == "median and range of 3 replicas"  # type: ignore[union-attr]


def test_a_single_replica_has_no_band() -> None:
    (axes,) = plot_curves(table(1), "").axes
    assert len(axes.get_lines()) == 2
    assert not axes.collections
