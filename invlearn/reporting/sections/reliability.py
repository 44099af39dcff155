"""Whether probabilities that follow from distances are right."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes

from invlearn.errors import UserError
from invlearn.reporting.blocks import Chart, Section
from invlearn.reporting.charts import BASELINE, SAME, chart
from invlearn.reporting.context import Context
from invlearn.reporting.divisions import divisions_of
from invlearn.reporting.odds import fitted_odds
from invlearn.reporting.texts import number

__all__ = ["reliability"]

BINS = 10


def reliability(context: Context) -> Section | None:
    """Probabilities fitted to validation pairs, beside what unseen pairs are."""
    evidence = context.evidence
    if evidence is None:
        return None
    try:
        odds = fitted_odds(divisions_of(context.run, None))
    except UserError:  # the file that it was trained on has gone
        return None
    distances = evidence.distances
    if odds is None or not len(distances.same) or not len(distances.different):
        return None
    probability = torch.cat([odds.probability(part) for part in (distances.same, distances.different)]).numpy()
    counts = len(distances.same), len(distances.different)
    same = np.repeat([1.0, 0.0], counts)
    weight = np.repeat([0.5 / counts[0], 0.5 / counts[1]], counts)
    index = np.minimum((probability * BINS).astype(int), BINS - 1)
    weights, right, said = (
        np.bincount(index, weight * values, minlength=BINS) for values in (np.ones_like(same), same, probability)
    )
    there = weights > 0
    weights, right, said = weights[there], right[there] / weights[there], said[there] / weights[there]
    error = float((weights * np.abs(right - said)).sum())
    brier = float((weight * (probability - same) ** 2).sum())
    sure = np.clip(np.where(same > 0, probability, 1 - probability), 1e-12, 1)
    loss = float(-(weight * np.log2(sure)).sum())

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=BASELINE, lw=0.8)
        axes.scatter(said, right, s=4 + 200 * weights, color=SAME, lw=0)
        axes.set(
            xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel="probability that is said", ylabel="share of one entity"
        )

    told = f"calibration error {number(error, 2)}, Brier score {number(brier, 2)}, log loss {number(loss, 2)} bits"
    return Section(
        "Are probabilities right?",
        [
            Chart(
                chart(draw),
                f"Reliability diagram: {told}.",
                f"Probability that a pair is of one entity, from a logistic fit of log distances to validation pairs, "
                f"against the share of unseen pairs that are; larger points stand for more pairs. Pairs of one entity "
                f"weigh as much as all others: {told} (a constant gets 0.25 and 1 bit).",
            )
        ],
    )
