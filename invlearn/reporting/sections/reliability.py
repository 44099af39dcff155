"""Whether the run's probabilities are right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from invlearn.evaluation.probability import DistanceModel
from invlearn.evaluation.reliability import Reliability, Scores, Unseen, measure_reliability
from invlearn.reporting.blocks import Block, Chart, Section, Table, Text
from invlearn.reporting.charts import BASELINE, SAME, chart
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import Distances, Evidence
from invlearn.reporting.texts import number, share

__all__ = ["reliability"]

BINS = 10
"""Number of equal intervals of probability, one point of the diagram each."""


def reliability(context: Context) -> Section | None:
    """The probabilities of ``match``, checked on unseen pairs."""
    evidence = context.evidence
    model = None if context.calibration is None else context.calibration.model
    if evidence is None or model is None or not len(evidence.distances.same) or not len(evidence.distances.different):
        return None
    return Section("Are probabilities right?", [_diagram(evidence.distances, model), *_scores(context, evidence)])


def _diagram(distances: Distances, model: DistanceModel) -> Chart:
    kinds = distances.same, distances.different
    probability = np.concatenate([model.probability(part.numpy(), prior=0.5) for part in kinds])
    same = np.repeat([1.0, 0.0], [len(part) for part in kinds])
    weight = np.concatenate([np.full(len(part), 0.5 / len(part)) for part in kinds])
    index = np.minimum((probability * BINS).astype(int), BINS - 1)
    weights, right, said = (
        np.bincount(index, weight * values, minlength=BINS) for values in (np.ones_like(same), same, probability)
    )
    there = weights > 0
    weights, right, said = weights[there], right[there] / weights[there], said[there] / weights[there]

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=BASELINE, lw=0.8)
        axes.scatter(said, right, s=4 + 200 * weights, color=SAME, lw=0)
        axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel="predicted probability", ylabel="share of one entity")

    return Chart(
        chart(draw),
        f"Reliability diagram, in {BINS} intervals of probability; the table has calibration errors.",
        "Probability that a pair is of one entity, from validation data, against the share of unseen pairs that are; "
        "larger points are more pairs. Same and different pairs have equal weight.",
    )


def _scores(context: Context, evidence: Evidence) -> Iterator[Block]:
    """The scores of probabilities from ``evaluate``, on the first division."""
    assert context.calibration is not None
    division = evidence.first
    queries, gallery = division.with_gaps.query_and_gallery(division.seed)
    (unseen,) = Unseen.of(division.coded(queries), division.coded(gallery))
    found = measure_reliability(context.calibration, unseen)
    if found is None:
        return
    heads = ["of", "calibration error", "by chance", "Brier", "constant", "log loss", "constant"]
    rows = [_row("pairs, half the same", found.pairs), _row(f"nearest of {found.among:,}", found.nearest)]
    fold = " of the first fold" if len(evidence.divisions) > 1 else ""
    caption = (
        f"Scores of probabilities on two samples each of {len(queries):,} unseen entities{fold} (expected calibration "
        "error; log loss in nats)"
    )
    yield Table(caption, heads, rows)
    yield Text(_matching(found))


def _row(name: str, scores: Scores) -> list[str]:
    return [name, *(number(value, 2) for value in scores.shown)]


def _matching(found: Reliability) -> str:
    matching = found.matching
    return (
        f"The threshold for 1% false matches among {found.among:,} finds {share(matching.found)} of the partners, and "
        f"wrongly matches {share(matching.false_matches)} of the rows without one (expected: about "
        f"{share(matching.stated)}, at most {share(matching.at_most)}, 95% sure)."
    )
