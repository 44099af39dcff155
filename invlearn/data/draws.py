"""The draws of a run's replicas from a dataset, stacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from invlearn.data.batches import Batch, Pairs
from invlearn.data.dataset import Dataset, HasGaps, HasLabels, Split
from invlearn.data.entity_samples import EntitySamples
from invlearn.data.samplers import Sampler
from invlearn.data.seeding import derived_seed

__all__ = ["Draws"]

STATISTICS = 2**24
"""Maximal number of features of all first samples together, among training pairs for statistics."""

Parts = TypeVar("Parts", bound=tuple[Tensor, ...])


@dataclass(frozen=True)
class Draws:
    """Draws of R replicas, tensors ``(R, N, ...)``, or ``(1, N, ...)`` if all share one through the dataset's seed.

    Args:
        dataset: The source of examples.
        replica_seeds: A seed for each replica.
        dtype: Type of real numbers.
        device: Device of the draws.
    """

    dataset: Dataset
    replica_seeds: Sequence[int]
    dtype: torch.dtype
    device: torch.device | str = "cpu"

    @property
    def seeds(self) -> Sequence[int]:
        """The seeds of the draws."""
        return self.replica_seeds if self.dataset.seed is None else [self.dataset.seed]

    def examples(self, sampler: Sampler, split: Split) -> Batch:
        """Examples of a split, for measurements."""
        return self._stack(lambda dataset, seed: sampler.draw(dataset, split, seed))

    @cached_property
    def with_gaps(self) -> Draws | None:
        """The same draws with NaN for each value that was missing in a file; None if none was."""
        found = self._there.with_gaps if isinstance(self._there, HasGaps) else None
        return None if found is None else replace(self, dataset=found)

    def training_pairs(self) -> Pairs:
        """Training pairs for statistics; those of entities are fewer if samples are large."""
        most = max(2, STATISTICS // self.dataset.dim)

        def draw(dataset: Dataset, seed: int) -> Pairs:
            if isinstance(dataset, EntitySamples):
                return dataset.pairs("train", seed, most=most)
            return dataset.pairs("train", seed)  # the first given pairs may all be of one kind

        return self._stack(draw)

    def training(self, sampler: Sampler, *, split: Split = "train") -> Callable[[int], Batch]:
        """Training examples of an epoch, from 0: always the same ones, or new ones if the dataset redraws.

        Args:
            sampler: Draws the examples.
            split: The split to draw from.
        """
        if self.dataset.redraws:
            return lambda epoch: self._stack(
                lambda dataset, seed: sampler.draw(dataset, split, derived_seed(seed, "epoch", epoch))
            )
        examples = self.examples(sampler, split)
        return lambda epoch: examples

    def query_and_gallery(self) -> tuple[Tensor, Tensor]:
        """Two samples each of up to 1,000 test entities, for ``recall_at_1``."""
        return self._stack(lambda dataset, seed: dataset.query_and_gallery(seed))

    def labelled(self, split: Split, *, most: int) -> tuple[Tensor, Tensor]:
        """At most so many samples of a split, and their entities."""

        def draw(dataset: Dataset, seed: int) -> tuple[Tensor, Tensor]:
            assert isinstance(dataset, HasLabels)
            return dataset.labelled(split, seed, most=most)

        return self._stack(draw)

    def _stack(self, draw: Callable[[Dataset, int], Parts]) -> Parts:
        draws = [tuple(map(self._cast, first := draw(self._there, seed))) for seed in self.seeds]
        stacked = (torch.stack(parts).to(self.device) for parts in zip(*draws, strict=True))
        return _like(first, stacked)

    @cached_property
    def _there(self) -> Dataset:
        """The dataset on the device, moved once."""
        return self.dataset.on(self.device)

    def _cast(self, part: Tensor) -> Tensor:
        return part.to(self.dtype) if part.is_floating_point() else part


def _like(batch: Parts, parts: Iterable[Tensor]) -> Parts:
    """A tuple of the same kind with other tensors."""
    return type(batch)._make(parts) if hasattr(batch, "_make") else type(batch)(parts)  # pyright: ignore
