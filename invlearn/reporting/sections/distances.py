"""Code distances of same and different pairs, with a threshold to move."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from invlearn.evaluation.calibration import Threshold
from invlearn.reporting.blocks import Block, Section, Slider, Text
from invlearn.reporting.charts import DIFFERENT, LIMIT, MOVING, SAME, drawing, in_svg
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import Distances
from invlearn.reporting.texts import number, share

__all__ = ["distances"]

BINS = 60

POSITIONS = 400
"""Number of positions of the slider."""

WIDE = 20
"""Ratio of typical distances from which their axis is logarithmic."""

WIDEST = 3.0
"""Multiple of the distance that nine of ten different pairs are within, up to which distances are drawn."""


def distances(context: Context) -> Section | None:
    """Distances of samples of one entity and of different ones."""
    if context.evidence is None:
        return None
    found = context.evidence.distances
    if not len(found.same) or not len(found.different) or not float(found.different[-1]):
        return None
    limit = context.threshold
    start = float(found.different[len(found.different) // 100]) if limit is None else limit.distance
    blocks: list[Block] = [_slider(found, start)]
    if limit is not None:
        within, wrong = (float(part) for part in found.shares_below(torch.tensor(limit.distance, dtype=torch.float64)))
        blocks.append(
            Text(
                f"The run's threshold for two samples is {number(limit.distance)}, from validation data: "
                f"{_why(limit)}. Here it finds {share(within)} of the pairs of one entity, and wrongly matches "
                f"{share(wrong)} of the different pairs."
            )
        )
    return Section("Same or different", blocks)


def _why(limit: Threshold) -> str:
    """What a threshold for 1% false matches is."""
    if limit.is_capped:
        return (
            "some larger ones would have at most 1% false matches too, but such distances are more frequent between "
            "entities than within them"
        )
    return "that for 1% false matches"


def _slider(found: Distances, start: float) -> Slider:
    largest = max(float(part[part.isfinite()].amax()) for part in (found.same, found.different))  # some may overflow
    largest = min(largest, max(start, WIDEST * float(found.different.quantile(0.9))))  # the last bar has all beyond
    smallest = min(float(found.different[-1]), largest) * 1e-9
    values = [np.clip(part.numpy(), smallest, largest) for part in (found.same, found.different)]
    low, high = min(part[0] for part in values), 1.001 * max(part[-1] for part in values)
    is_wide = float(np.median(values[1]) / max(np.median(values[0]), smallest)) > WIDE
    low = low if is_wide else 0.0
    edges = np.geomspace(low, high, BINS + 1) if is_wide else np.linspace(low, high, BINS + 1)
    start = min(max(start, edges[0]), edges[-1])
    with drawing():
        figure = Figure(figsize=(5.0, 2.8), dpi=72, layout="constrained")
        axes = figure.subplots()
        for part, color, label in zip(values, (SAME, DIFFERENT), ("one entity", "different entities"), strict=True):
            axes.hist(part, edges, weights=np.full(len(part), 1 / len(part)), color=color, alpha=0.55, label=label)
        axes.set(xscale="log" if is_wide else "linear", xlabel="distance of codes", ylabel="share of pairs")
        axes.set_xlim(edges[0], edges[-1])
        axes.axvline(start, color=LIMIT, lw=1.5, gid=MOVING)
        axes.legend()
        svg = in_svg(figure)
    limits = _limits(values, edges, start)
    same, different = found.shares_below(torch.from_numpy(limits))
    at = int(np.abs(limits - start).argmin())
    # Matplotlib's SVG has 72 units per inch, like this figure.
    x = axes.transData.transform(np.stack([limits, np.zeros(len(limits))], axis=1))[:, 0]
    medians = [number(float(np.median(part))) for part in values]
    return Slider(
        svg,
        f"Histogram of code distances: median {medians[0]} within entities, {medians[1]} between entities.",
        f"Code distances of {found.described}. Pairs left of the line count as the same.",
        {
            "distance": [float(f"{value:.4g}") for value in limits],
            "x": [round(value, 2) for value in x.tolist()],
            "false": [float(f"{value:.3g}") for value in different.tolist()],
            "missed": [float(f"{value:.3g}") for value in (1 - same).tolist()],
        },
        at,
        f"distance {number(limits[at], 4)}: {share(1 - float(same[at]))} of the pairs of one entity are missed, "
        f"{share(float(different[at]))} of the different pairs are false matches",
    )


def _limits(values: list[np.ndarray], edges: np.ndarray, start: float) -> np.ndarray:
    """Thresholds of the slider, ascending: dense where there are pairs, and over the whole axis."""
    quantiles = np.linspace(0, 1, POSITIONS // 4)
    tails = np.geomspace(1e-6, 0.5, POSITIONS // 4)
    parts = [np.quantile(values[0], quantiles), np.quantile(values[1], tails), edges, [start]]
    found = np.unique(np.concatenate(parts))
    return found[(found >= edges[0]) & (found <= edges[-1])]
