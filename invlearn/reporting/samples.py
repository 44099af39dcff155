"""Some unseen samples for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invlearn.data import EntitySamples
from invlearn.data.seeding import seeded_generator
from invlearn.display.tables import shortened_value
from invlearn.reporting.divisions import Division

__all__ = ["Samples", "draw_samples"]

MOST_SAMPLES = 2_048
"""Maximal number of samples that are encoded for pictures, maps and distances."""

MOST_OF_ONE = 16
"""Maximal number of samples per entity."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Some unseen samples, sorted by entity.

    Args:
        x: Scaled, ``(n, d)``.
        with_gaps: The same, NaN where a value is missing in the file.
        entity: Number of the entity of each, ``(n,)``.
        names: Name of the entity of each in the file, or a number, ``(n,)``.
        rows: Row of each in the file, from 1, ``(n,)``; None for families and pairs.
        of: Number of all unseen samples.
    """

    x: Tensor
    with_gaps: Tensor
    entity: Tensor
    names: Sequence[str]
    rows: np.ndarray | None
    of: int


def draw_samples(division: Division) -> Samples:
    """Up to 2,048 unseen samples: random whole entities of a file, or two samples of each entity."""
    dataset, origin = division.data.dataset, division.data.origin
    if not isinstance(dataset, EntitySamples):
        drawn = [each.query_and_gallery(division.seed) for each in (dataset, division.with_gaps)]
        n = len(drawn[0][0])
        count = min(n, MOST_SAMPLES // 2)
        x, with_gaps = (torch.stack([part[:count] for part in parts], dim=1).flatten(0, 1) for parts in drawn)
        entity = torch.arange(count).repeat_interleave(2)
        return Samples(x, with_gaps, entity, [f"entity {number + 1}" for number in entity.tolist()], None, 2 * n)
    rows, entity = dataset.every_row("test")
    generator = seeded_generator(0, "report")
    order = torch.randperm(len(rows), generator=generator)
    numbers = entity.unique()
    place = torch.empty(int(numbers.max()) + 1, dtype=torch.long)
    place[numbers] = torch.randperm(len(numbers), generator=generator)
    order = order[place[entity[order]].argsort(stable=True)]  # entities and their samples in random order
    _, counts = torch.unique_consecutive(place[entity[order]], return_counts=True)
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    chosen = order[rank < MOST_OF_ONE][:MOST_SAMPLES]
    rows, entity = rows[chosen], entity[chosen]
    labels = None if origin is None else origin.labels[entity.numpy()]
    names = [shortened_value(str(name)) for name in (entity.tolist() if labels is None else labels)]
    numbers_in_file = None if origin is None else origin.rows[rows.numpy()]
    x, with_gaps = (each.at(rows) for each in (dataset, dataset.with_gaps or dataset))
    return Samples(x, with_gaps, entity, names, numbers_in_file, len(order))
