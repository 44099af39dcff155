"""The pairs that a threshold has most trouble with."""

from __future__ import annotations

import torch

from invlearn.reporting.blocks import Gallery, Picture, Row, Section
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import EXACT
from invlearn.reporting.sections.neighbours import title_of
from invlearn.reporting.texts import number

__all__ = ["hardest"]

SHOWN = 6
"""Pairs of a kind."""


def hardest(context: Context) -> Section | None:
    """The pairs of one entity that are farthest apart, and those of two that are nearest."""
    evidence = context.evidence
    if evidence is None:
        return None
    z, entity = evidence.codes, evidence.samples.entity
    first, second = torch.triu_indices(len(z), len(z), offset=1)
    distances = torch.cdist(z, z, compute_mode=EXACT)[first, second]
    same = entity[first] == entity[second]
    galleries = []
    for mask, mark, caption in (
        (same, "same", "Pairs of one entity whose codes are farthest apart: misses, or wrong labels."),
        (
            ~same,
            "different",
            "Pairs of different entities whose codes are nearest: false matches, or one entity twice.",
        ),
    ):
        places = mask.nonzero()[:, 0]
        found = distances[places].topk(min(SHOWN, len(places)), largest=mark == "same")
        rows = []
        for distance, place in zip(found.values.tolist(), places[found.indices].tolist(), strict=True):
            pair = int(first[place]), int(second[place])
            rows.append(Row(f"distance {number(distance)}", [_picture(context, index, mark) for index in pair]))
        galleries.append(Gallery(caption, rows, beside=True))
    return Section("Hardest pairs", galleries)


def _picture(context: Context, index: int, mark: str) -> Picture:
    assert context.evidence is not None
    title = title_of(context, index)
    return context.painter.picture(context.evidence.values[index], title, title, mark)
