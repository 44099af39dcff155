"""What a closed form learns from: samples with their entities, each counted once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.data import Dataset, EntitySamples, LabelledPairs, Pairs
from invlearn.data.seeding import seeded_generator

__all__ = ["Observed", "observe"]


class Observed(NamedTuple):
    """Training samples, of any precision."""

    x: Tensor
    """``(n, d)``; the samples of an entity lie next to each other."""
    entity: Tensor
    """Number of each one's entity, in ascending order, ``(n,)``."""
    different: Pairs | None
    """Pairs of different entities with their distances, where those tell more than that they differ."""

    def same_pairs(self, most: int) -> Pairs:
        """Up to so many pairs of samples of one entity that lie next to each other."""
        first = (self.entity[1:] == self.entity[:-1]).nonzero()[:most, 0]
        x, x_prime = self.x[first].double(), self.x[first + 1].double()
        return Pairs(x, x_prime, x.new_zeros(len(first)))

    def part(self, rows: int, seed: int) -> Observed:
        """A random part of the entities with at least so many samples, or all of them, in float64."""
        if len(self.x) <= rows:
            return self._replace(x=self.x.double())
        _, index, counts = torch.unique_consecutive(self.entity, return_inverse=True, return_counts=True)
        order = torch.randperm(len(counts), generator=seeded_generator(seed, "moments")).to(counts.device)
        kept = torch.zeros_like(counts, dtype=torch.bool)
        kept[order[counts[order].cumsum(0) - counts[order] < rows]] = True
        return self._replace(x=self.x[kept[index]].double(), entity=self.entity[kept[index]])


def observe(dataset: Dataset, seed: int, device: torch.device | str) -> Observed:
    """Training samples of a dataset.

    Args:
        dataset: Entities, pairs or a transformation family.
        seed: What the pairs of a family are drawn from.
        device: Where they are to be.
    """
    if isinstance(dataset, EntitySamples):
        x, entity = (part.to(device) for part in dataset.every_sample("train"))
        return Observed(x, entity, None)
    drawn = dataset.every_pair("train") if isinstance(dataset, LabelledPairs) else dataset.pairs("train", seed)
    pairs = Pairs(*(part.to(device) for part in drawn))
    is_same = pairs.distance == 0
    same, different = (Pairs(*(part[chosen] for part in pairs)) for chosen in (is_same, ~is_same))
    x = torch.cat([torch.stack(same[:2], dim=1).flatten(0, 1), different.x, different.x_prime])
    numbers = torch.arange(len(same.x) + 2 * len(different.x), device=x.device)
    entity = torch.cat([numbers[: len(same.x)].repeat_interleave(2), numbers[len(same.x) :]])
    tells_more = len(different.x) > 0 and float(different.distance.std(correction=0)) > 0
    return Observed(x, entity, different if tells_more else None)
