"""Some samples with those whose codes are nearest."""

from __future__ import annotations

import torch

from invlearn.reporting.blocks import Gallery, Picture, Row, Section
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import Evidence
from invlearn.reporting.texts import number

__all__ = ["first_of_each", "neighbours", "title_of"]

QUERIES, NEAREST = 8, 6


def neighbours(context: Context) -> Section | None:
    """Nearest neighbours of a few unseen samples."""
    evidence = context.evidence
    if evidence is None or len(evidence.samples.x) <= NEAREST:
        return None
    samples, n = evidence.samples, len(evidence.samples.x)
    queries, rows = first_of_each(evidence, QUERIES), []
    distances = evidence.apart[queries]
    distances[torch.arange(len(queries)), queries] = torch.inf
    for query, row in zip(queries, distances, strict=True):
        nearest = row.topk(NEAREST, largest=False)
        pictures = [_picture(context, query, "query")]
        for distance, index in zip(nearest.values.tolist(), nearest.indices.tolist(), strict=True):
            is_same = bool(samples.entity[index] == samples.entity[query])
            pictures.append(_picture(context, index, number(distance, 2), "same" if is_same else "different"))
        rows.append(Row(title_of(context, query), pictures))
    caption = (
        f"A sample, then the {NEAREST} samples with the nearest codes among {n:,} unseen samples, with distances. "
        "Blue, solid: the same entity. Orange, dashed: another."
    )
    if evidence.first.is_scaled:
        caption += " Features are drawn scaled separately, because their units differ."
    return Section("Nearest neighbours", [Gallery(caption, rows)])


def first_of_each(evidence: Evidence, count: int) -> list[int]:
    """Index of the first sample of each of so many entities, which are in random order."""
    _, index = torch.unique_consecutive(evidence.samples.entity, return_inverse=True)
    return torch.searchsorted(index, torch.arange(min(count, int(index.max()) + 1))).tolist()


def _picture(context: Context, index: int, caption: str, mark: str = "") -> Picture:
    assert context.evidence is not None
    told = {"same": ", the same entity", "different": ", another entity"}.get(mark, "")
    label = f"{title_of(context, index)}{told}"
    name = f"{caption} · {context.evidence.samples.names[index]}" if mark else caption
    return context.painter.picture(context.evidence.drawn[index], label, name, mark)


def title_of(context: Context, index: int) -> str:
    """The title of a sample: its entity, and its row in the file."""
    assert context.evidence is not None
    samples = context.evidence.samples
    return samples.names[index] + (f", row {samples.rows[index]:,}" if samples.rows is not None else "")
