"""The hardest pairs for any threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.inference.why import told
from invlearn.reporting.blocks import Gallery, Picture, Row, Section, Text
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import Evidence
from invlearn.reporting.sections.neighbours import title_of
from invlearn.reporting.texts import number

__all__ = ["hardest"]

SHOWN = 6
"""Number of pairs of each kind."""

NAMED = 64
"""Largest number of features for which contributing ones are named."""


def hardest(context: Context) -> Section | None:
    """The pairs of one entity that are farthest apart, and those of two that are nearest."""
    evidence = context.evidence
    if evidence is None:
        return None
    entity = evidence.samples.entity
    first, second = torch.triu_indices(len(entity), len(entity), offset=1)
    distances = evidence.apart[first, second]
    same = entity[first] == entity[second]
    limit = _limit(context)
    galleries = []
    for mask, mark, caption in (
        (same, "same", "Pairs of one entity whose codes are farthest apart: misses, or wrong labels."),
        (
            ~same,
            "different",
            "Pairs of different entities whose codes are nearest: false matches, or one entity with two labels.",
        ),
    ):
        places = mask.nonzero()[:, 0]
        found = distances[places].topk(min(SHOWN, len(places)), largest=mark == "same")
        shown = places[found.indices]
        reasons = _reasons(context, evidence, first[shown], second[shown], limit)
        rows = []
        for distance, place, reason in zip(found.values.tolist(), shown.tolist(), reasons, strict=True):
            pictures = [_picture(context, int(side[place]), mark) for side in (first, second)]
            rows.append(Row(f"distance {number(distance)}{reason}", pictures))
        galleries.append(Gallery(caption, rows, beside=True))
    told_by = (
        "Each distance d has the features that contribute most to (d/t)², where t is the run's "
        f"threshold for two samples, {number(limit)}."
    )
    return Section("Hardest pairs", [*([Text(told_by)] if limit else []), *galleries])


def _limit(context: Context) -> float | None:
    """The threshold that contributions are compared with; None if no features are named."""
    return context.threshold.distance if context.threshold and context.run.stack.dim <= NAMED else None


def _reasons(context: Context, evidence: Evidence, first: Tensor, second: Tensor, limit: float | None) -> list[str]:
    """The features that contribute most to each distance, if there are few enough features to name."""
    if limit is None:
        return [""] * len(first)
    names = context.run.stack.feature_names or [f"x_{index}" for index in range(context.run.stack.dim)]
    found = told(evidence.first.encoder, evidence.values[first], evidence.values[second], names, limit)
    return [f": {parts}" if parts else "" for parts in found]


def _picture(context: Context, index: int, mark: str) -> Picture:
    assert context.evidence is not None
    title = title_of(context, index)
    return context.painter.picture(context.evidence.drawn[index], title, title, mark)
