"""Samples of known entities: pairs and batches are drawn during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from invlearn.data.batches import EntityBatch, Pairs
from invlearn.data.dataset import GALLERY, Dataset, Split
from invlearn.data.distances import observed_distance
from invlearn.data.seeding import seeded_generator

__all__ = ["EntitySamples", "first_pairs"]

ELEMENTS = 2**24
"""Maximal size of an intermediate result of comparisons, in numbers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EntitySamples:
    """Samples with known entities. Those of one entity lie on one orbit; the distortion is unknown.

    Args:
        samples: ``(n, d)``.
        entity: The entity of each, ``(n,)``, numbered from 0.
        splits: Entities of each split; those of different splits need not be disjoint, but should be.
        distance: d* of different entities. ``binary``: 1. ``observed``: the smallest distance between their samples
            (ours), of at most ``samples_per_entity`` samples each.
        samples_per_entity: Samples of an entity in a batch, at least 2.
        size: Training pairs per epoch, drawn anew each time; an eighth as many entities.
        valid_size: Validation pairs.
        test_size: Test pairs.
        seed: Seed of the pairs.
        missing: Which values of the samples were missing in the file and have been filled, ``(n, d)``; None if none.
        shows_gaps: Whether these are NaN in drawn samples.

    Raises:
        ValueError: A setting is out of range, or a split has fewer than two entities.
    """

    samples: Tensor
    entity: Tensor
    splits: Mapping[Split, Tensor]
    distance: Literal["observed", "binary"]
    samples_per_entity: int
    size: int
    valid_size: int
    test_size: int
    seed: int
    missing: Tensor | None = None
    shows_gaps: bool = False

    def __post_init__(self) -> None:
        if self.distance not in ("observed", "binary"):
            raise ValueError(f"distance must be observed or binary, got {self.distance!r}")
        if self.samples_per_entity < 2:
            raise ValueError(f"samples_per_entity must be at least 2, got {self.samples_per_entity}")
        for split, entities in self.splits.items():
            if len(entities) < 2:
                raise ValueError(f"entities: {len(entities)} in the {split} split; at least two are needed")

    @property
    def entities_per_epoch(self) -> int:
        """Entities per epoch, which give as many steps in batches of 16 as ``size`` pairs in batches of 128."""
        return max(1, self.size // 8)

    def check_entities(self) -> None:
        """Entities can always be compared."""
        return

    @property
    def redraws(self) -> bool:
        """Training examples are drawn anew for each epoch."""
        return True

    @property
    def dim(self) -> int:
        """Number of features d."""
        return self.samples.shape[1]

    def on(self, device: torch.device | str) -> EntitySamples:
        """The same with the samples on a device; the CPU decides which are drawn, the device does the rest."""
        missing = None if self.missing is None else self.missing.to(device)
        return replace(self, samples=self.samples.to(device), missing=missing)

    @cached_property
    def with_gaps(self) -> EntitySamples | None:
        """The same with NaN for each value that was missing; None if none was."""
        return None if self.missing is None else replace(self, shows_gaps=True)

    def at(self, rows: Tensor | slice) -> Tensor:
        """Some samples, ``(*, d)``."""
        x = self.samples[rows]
        return x.masked_fill(self.missing[rows], torch.nan) if self.shows_gaps and self.missing is not None else x

    @cached_property
    def _counts(self) -> Tensor:
        """Samples of each entity, ``(E,)``."""
        return self.entity.bincount(minlength=int(self.entity.max()) + 1)

    @cached_property
    def _starts(self) -> Tensor:
        """Index in ``_by_entity`` of each entity's first sample, ``(E,)``."""
        return self._counts.cumsum(0) - self._counts

    @cached_property
    def _by_entity(self) -> Tensor:
        """Rows of the samples, sorted by entity, ``(n,)``."""
        return self.entity.argsort(stable=True)

    def pairs(self, split: Split, seed: int, *, most: int | None = None) -> Pairs:
        """Pairs of a split, same and different entities in turn, each entity about equally often.

        Args:
            split: The split.
            seed: Seed of the draw.
            most: Return only the first so many of the drawn pairs.

        Returns:
            ``(size, d)`` each.
        """
        n = {"train": self.size, "valid": self.valid_size, "test": self.test_size}[split]
        generator = seeded_generator(seed, "pairs", split)
        entities = self.splits[split]
        same = _cycled(self._with_two(entities), (n + 1) // 2, generator)
        rows = self._draw(same, 2, generator).to(self.samples.device)
        first = _cycled(torch.arange(len(entities)), n // 2, generator)
        step = torch.randint(1, len(entities), first.shape, generator=generator)
        others = [entities[first], entities[(first + step) % len(entities)]]
        drawn = [self._draw(entity, self._drawn_per_entity, generator).to(self.samples.device) for entity in others]
        if most is not None and most < n:
            n, rows, drawn = most, rows[: (most + 1) // 2], [each[: most // 2] for each in drawn]

        x, x_prime = self.samples.new_empty(n, self.dim), self.samples.new_empty(n, self.dim)
        distance = self.samples.new_zeros(n)
        x[0::2], x_prime[0::2] = self.at(rows[:, 0]), self.at(rows[:, 1])
        x[1::2], x_prime[1::2] = (self.at(rows[:, 0]) for rows in drawn)
        distance[1::2] = self._distance(*drawn)
        return Pairs(x, x_prime, distance)

    def entities(self, split: Split, seed: int) -> EntityBatch:
        """Entities of a split with ``samples_per_entity`` samples each; entities with fewer repeat theirs."""
        n = {"train": self.entities_per_epoch, "valid": self.valid_size, "test": self.test_size}[split]
        generator = seeded_generator(seed, "groups", split)
        entity = _cycled(self.splits[split], n, generator)
        x = self.samples[self._draw(entity, self._drawn_per_entity, generator).to(self.samples.device)]
        return EntityBatch(x, entity.to(x.device), x if self.distance == "observed" else x[..., :0])

    def every_row(self, split: Split) -> tuple[Tensor, Tensor]:
        """Rows of all samples of a split, sorted by entity, and their entities, ``(n,)`` each."""
        rows = self._by_entity[torch.isin(self.entity[self._by_entity], self.splits[split])]
        return rows, self.entity[rows]

    def labelled(self, split: Split, seed: int, *, most: int) -> tuple[Tensor, Tensor]:
        """At most ``samples_per_entity`` samples each of entities of a split, ``(n, d)``, and their entities ``(n,)``.

        Args:
            split: The split.
            seed: Seed of the draw, if there are more.
            most: Maximal number of samples, at least 4.
        """
        generator = seeded_generator(seed, "labelled", split)
        k = min(self._drawn_per_entity, most // 2)
        entities = self.splits[split]
        entities = entities[torch.randperm(len(entities), generator=generator)]
        taken = self._counts[entities].clamp(max=k)
        entities = entities[taken.cumsum(0) <= most]
        there = torch.arange(k) < self._counts[entities][:, None]
        rows = self._draw(entities, k, generator)[there].to(self.samples.device)
        entity = entities[:, None].expand_as(there)[there]
        return self.at(rows), entity.to(self.samples.device)

    def query_and_gallery(self, seed: int) -> tuple[Tensor, Tensor]:
        """Two samples each of up to 1,000 test entities, ``(n, d)`` twice."""
        generator = seeded_generator(seed, "orbits", "test")
        entities = self._with_two(self.splits["test"])
        chosen = entities[torch.randperm(len(entities), generator=generator)[:GALLERY]]
        rows = self._draw(chosen, 2, generator).to(self.samples.device)
        return self.at(rows[:, 0]), self.at(rows[:, 1])

    def _with_two(self, entities: Tensor) -> Tensor:
        """The entities with two samples; if there are none, all entities, whose query and gallery are then equal."""
        several = entities[self._counts[entities] > 1]
        return several if len(several) else entities

    @cached_property
    def _drawn_per_entity(self) -> int:
        counts = self._counts[torch.cat(list(self.splits.values()))]  # samples may be of entities in no split
        return max(2, min(self.samples_per_entity, int(counts.max())))

    def _draw(self, entity: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """Rows of k samples of each entity, ``(N, k)``; distinct ones as far as possible, then repeated."""
        counts = self._counts[entity]
        chosen: list[Tensor] = []
        for index in range(k):
            pick = (torch.rand(len(entity), generator=generator, dtype=torch.float64) * (counts - index)).long()
            # The pick-th of those not chosen yet: skip each chosen one, the smallest first.
            if chosen:
                for taken in torch.stack(chosen).sort(0).values:
                    pick += (pick >= taken).long()
            chosen.append(pick)
            if index:
                again = torch.stack(chosen).gather(0, (index % counts)[None])[0]
                chosen[-1] = torch.where(index < counts, pick, again)
        return self._by_entity[self._starts[entity][:, None] + torch.stack(chosen, dim=1)]

    def _distance(self, rows: Tensor, rows_prime: Tensor) -> Tensor:
        """d* of different entities, from rows of samples of both, ``(N, k)`` each."""
        if self.distance == "binary":
            return self.samples.new_ones(len(rows))
        chunks = max(1, rows.shape[1] * rows_prime.shape[1] * self.dim * len(rows) // ELEMENTS)
        halves = zip(rows.tensor_split(chunks), rows_prime.tensor_split(chunks), strict=True)
        return torch.cat([observed_distance(self.samples[one], self.samples[other]) for one, other in halves])


def first_pairs(dataset: Dataset, split: Split, seed: int, most: int) -> Pairs:
    """The first pairs of a split of any dataset; samples of entities are copied for these only.

    Args:
        dataset: The source.
        split: The split.
        seed: Seed of the draw.
        most: Maximal number of pairs.
    """
    if isinstance(dataset, EntitySamples):
        return dataset.pairs(split, seed, most=most)
    return Pairs(*(part[:most] for part in dataset.pairs(split, seed)))


def _cycled(values: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """``n`` of the values in random order; each comes once before any is repeated."""
    rounds = -(-n // len(values))
    order = [torch.randperm(len(values), generator=generator) for _ in range(rounds)]
    return values[torch.cat(order)[:n]] if order else values[:0]
