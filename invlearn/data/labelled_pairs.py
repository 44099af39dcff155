"""Given pairs of samples with their distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from invlearn.data.batches import Pairs
from invlearn.data.dataset import GALLERY, Split
from invlearn.data.seeding import seeded_generator

__all__ = ["LabelledPairs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledPairs:
    """Given pairs (x, x', d*) (Section 5).

    Args:
        given: All pairs, ``(n, d)``; ``distance`` is 0 if both are the same entity.
        splits: Rows of each split.
        entity: Entity of each pair for ``recall_at_1``, a number, ``(n,)``.
        size: Training examples per epoch, drawn anew each time.
        seed: Seed of their order.
        missing: Which values of x and of x' were missing in the file and have been filled, ``(n, d)`` each; None if
            none.
        shows_gaps: Whether these are NaN in drawn pairs.

    Raises:
        ValueError: A split has no pair of the same, or of different entities.
    """

    given: Pairs
    splits: Mapping[Split, Tensor]
    entity: Tensor
    size: int
    seed: int
    missing: tuple[Tensor, Tensor] | None = None
    shows_gaps: bool = False

    def __post_init__(self) -> None:
        for split, rows in self.splits.items():
            same = self.distance[rows] == 0
            for kind, there in (("the same entity", same), ("different entities", ~same)):
                if not bool(there.any()):
                    raise ValueError(f"pairs: the {split} split has none of {kind} among {len(rows):,}")

    @cached_property
    def distance(self) -> Tensor:
        """d* of all pairs, ``(n,)``, on the CPU."""
        return self.given.distance.cpu()

    @property
    def redraws(self) -> bool:
        """Training examples come in a new order for each epoch."""
        return True

    @property
    def dim(self) -> int:
        """Number of features d."""
        return self.given.x.shape[1]

    def pairs(self, split: Split, seed: int) -> Pairs:
        """For training ``size`` pairs in random order, each once before any is repeated; else those of the split."""
        rows = self.splits[split]
        if split == "train":
            generator = seeded_generator(seed, "pairs", split)
            rounds = -(-self.size // len(rows))
            order = [torch.randperm(len(rows), generator=generator) for _ in range(rounds)]
            rows = rows[torch.cat(order)[: self.size]]
        return self._at(rows)

    def every_pair(self, split: Split) -> Pairs:
        """Each pair of a split once."""
        return self._at(self.splits[split])

    def on(self, device: torch.device | str) -> LabelledPairs:
        """The same, with the pairs on a device."""
        missing = self.missing and (self.missing[0].to(device), self.missing[1].to(device))
        return replace(self, given=Pairs(*(part.to(device) for part in self.given)), missing=missing)

    @cached_property
    def with_gaps(self) -> LabelledPairs | None:
        """The same with NaN for each value that was missing; None if none was."""
        return None if self.missing is None else replace(self, shows_gaps=True)

    def _at(self, rows: Tensor) -> Pairs:
        rows = rows.to(self.given.x.device)
        x, x_prime, distance = (part[rows] for part in self.given)
        if self.shows_gaps and self.missing is not None:
            parts = zip((x, x_prime), self.missing, strict=True)
            x, x_prime = (part.masked_fill(gaps[rows], torch.nan) for part, gaps in parts)
        return Pairs(x, x_prime, distance)

    def query_and_gallery(self, seed: int) -> tuple[Tensor, Tensor]:
        """Both samples of one same pair each of up to 1,000 test entities, ``(n, d)`` twice."""
        rows = self.splits["test"]
        rows = rows[self.distance[rows] == 0]
        rows = rows[torch.randperm(len(rows), generator=seeded_generator(seed, "orbits", "test"))]
        _, index = torch.unique(self.entity[rows], return_inverse=True)
        first = torch.full((int(index.max()) + 1,), len(rows)).scatter_reduce(0, index, torch.arange(len(rows)), "amin")
        x, x_prime, _ = self._at(rows[first[:GALLERY]])
        return x, x_prime
