"""Training data of a closed form: samples with their entities, each counted once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invlearn.data import Dataset, EntitySamples, LabelledPairs, Pairs
from invlearn.data.seeding import seeded_generator

__all__ = ["Observed", "observe"]


@dataclass(frozen=True, eq=False)
class Observed:
    """Training samples, which are copied only when needed, since they may take most of the memory.

    Args:
        samples: ``(N, d)``, of any precision.
        entity: Number of the entity of each sample in use, in ascending order, ``(n,)``.
        different: Pairs of different entities with their distances, if these are not all equal.
        rows: Indices of the samples in use, in the order of ``entity``, ``(n,)``; None for all, in their order.
    """

    samples: Tensor
    entity: Tensor
    different: Pairs | None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.entity)

    @property
    def dim(self) -> int:
        """Number of features d."""
        return self.samples.shape[1]

    @property
    def x(self) -> Tensor:
        """``(n, d)``; the samples of an entity are neighbours."""
        return self.samples if self.rows is None else self.samples[self.rows]

    def only(self, chosen: Tensor) -> Observed:
        """Some of the samples, by a mask or by indices in ascending order."""
        rows = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        return replace(self, entity=self.entity[rows], rows=rows if self.rows is None else self.rows[rows])

    def split(self, size: int) -> Iterator[Tensor]:
        """The samples in chunks."""
        for start in range(0, len(self), size):
            cut = slice(start, start + size)
            yield self.samples[cut] if self.rows is None else self.samples[self.rows[cut]]

    @property
    def same(self) -> int:
        """Pairs of neighbouring samples of one entity."""
        return int((self.entity[1:] == self.entity[:-1]).sum())

    def same_pairs(self, most: int) -> Pairs:
        """At most so many pairs of neighbouring samples of one entity."""
        first = (self.entity[1:] == self.entity[:-1]).nonzero()[:most, 0]
        x, x_prime = self.only(first).x.double(), self.only(first + 1).x.double()
        return Pairs(x, x_prime, x.new_zeros(len(first)))

    def part(self, rows: int, seed: int) -> Observed:
        """A random part of the entities with at least so many samples, or all of them, in float64."""
        kept = self
        if len(self) > rows:
            _, index, counts = torch.unique_consecutive(self.entity, return_inverse=True, return_counts=True)
            order = torch.randperm(len(counts), generator=seeded_generator(seed, "moments")).to(counts.device)
            is_kept = torch.zeros_like(counts, dtype=torch.bool)
            is_kept[order[counts[order].cumsum(0) - counts[order] < rows]] = True
            kept = self.only(is_kept[index])
        return Observed(kept.x.double(), kept.entity, self.different)


def observe(dataset: Dataset, seed: int, device: torch.device | str) -> Observed:
    """Training samples of a dataset.

    Args:
        dataset: Entities, pairs or a transformation family.
        seed: Seed of the pairs of a family.
        device: Device of the samples.
    """
    if isinstance(dataset, EntitySamples):
        rows, entity = (part.to(device) for part in dataset.every_row("train"))
        return Observed(dataset.samples.to(device), entity, None, rows)
    drawn = dataset.every_pair("train") if isinstance(dataset, LabelledPairs) else dataset.pairs("train", seed)
    pairs = Pairs(*(part.to(device) for part in drawn))
    is_same = pairs.distance == 0
    same, different = (Pairs(*(part[chosen] for part in pairs)) for chosen in (is_same, ~is_same))
    x = torch.cat([torch.stack(same[:2], dim=1).flatten(0, 1), different.x, different.x_prime])
    numbers = torch.arange(len(same.x) + 2 * len(different.x), device=x.device)
    entity = torch.cat([numbers[: len(same.x)].repeat_interleave(2), numbers[len(same.x) :]])
    tells_more = len(different.x) > 0 and float(different.distance.std(correction=0)) > 0
    return Observed(x, entity, different if tells_more else None)
