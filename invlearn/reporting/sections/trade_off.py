"""The trade-off over all thresholds: ROC and DET."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.axes import Axes
from scipy import special

from invlearn.reporting.blocks import Chart, Section
from invlearn.reporting.charts import BASELINE, SAME, chart, label_of
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import Distances
from invlearn.reporting.texts import number, share

__all__ = ["det", "equal_error", "roc", "trade_off"]

POINTS = 300
"""Number of thresholds that are drawn."""

TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9)
"""Shares on the axes of a DET curve."""

Curves = Mapping[str, tuple[Distances, str]]
"""Distances and their colour by name."""


def trade_off(context: Context) -> Section | None:
    """Found matches against false ones."""
    evidence = context.evidence
    if evidence is None or not len(evidence.distances.same) or not len(evidence.distances.different):
        return None
    curves = {"this run": (evidence.distances, SAME), "raw samples": (evidence.raw_distances, BASELINE)}
    error = equal_error(evidence.distances)
    end = "This run makes no error on these pairs." if not error else "A curve ends where there are no more errors."
    at = rates(evidence.distances, np.array([0.01]))[0]
    floor = share(1 / len(evidence.distances.different))
    return Section(
        "False matches against misses",
        [
            Chart(
                roc(curves),
                f"ROC curve: at 1% false matches {share(at)} of the pairs of one entity are found.",
                f"ROC: pairs of one entity that are found, against false matches among different pairs. At 1% false "
                f"matches {share(at)} are found. One false match is a share of {floor}.",
            ),
            Chart(
                det(curves),
                f"DET curve: both errors are equal at {share(error)}.",
                f"DET: the same pairs, missed against false; both axes are stretched at small shares. Both errors are "
                f"equal at {share(error)}. {end}",
            ),
        ],
    )


def rates(distances: Distances, false: np.ndarray) -> np.ndarray:
    """Shares of same pairs that are found at some shares of false matches, ``(t,)``."""
    k = len(distances.different)
    limits = distances.different[torch.from_numpy(np.minimum((false * k).astype(np.int64), k - 1))]
    return (torch.searchsorted(distances.same, limits) / len(distances.same)).numpy()


def equal_error(distances: Distances) -> float:
    """The share at which misses and false matches are equal."""
    every = torch.cat([distances.same, distances.different]).sort().values
    low, high = 0, len(every) - 1
    while low < high:  # misses fall and false matches rise with the threshold
        middle = (low + high) // 2
        same, different = distances.shares_below(every[middle])
        low, high = (middle + 1, high) if 1 - float(same) > float(different) else (low, middle)
    same, different = distances.shares_below(every[low])
    return (1 - float(same) + float(different)) / 2


def roc(curves: Curves) -> Markup:
    """Shares found against false matches, the latter on a logarithmic axis."""

    def draw(axes: Axes) -> None:
        least = min(1 / len(found.different) for found, _ in curves.values())
        false = np.geomspace(least, 1, POINTS)
        for name, (found, color) in curves.items():
            axes.plot(false, rates(found, false), color=color, label=label_of(name))
        axes.set(xscale="log", xlim=(least, 1), ylim=(-0.02, 1.02), xlabel="false matches", ylabel="found")
        axes.legend(loc="best")

    return chart(draw)


def det(curves: Curves) -> Markup:
    """Misses against false matches, both as normal quantiles."""

    def draw(axes: Axes) -> None:
        least = min(1 / max(len(found.different), len(found.same)) for found, _ in curves.values())
        for name, (found, color) in curves.items():
            false = np.geomspace(1 / len(found.different), 0.99, POINTS)
            missed = 1 - rates(found, false)
            shown = (missed > 0) & (missed < 1)
            axes.plot(special.ndtri(false[shown]), special.ndtri(missed[shown]), color=color, label=label_of(name))
        ticks = [tick for tick in TICKS if tick >= least]
        places, names = special.ndtri(ticks), [number(tick) for tick in ticks]
        axes.set_xticks(places, names, fontsize=8, rotation=45)
        axes.set_yticks(places, names, fontsize=8)
        limits = special.ndtri(least), special.ndtri(0.95)
        axes.set(xlim=limits, ylim=limits, xlabel="false matches", ylabel="missed")
        axes.legend(loc="best")

    return chart(draw)
