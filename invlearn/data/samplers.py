"""Samplers: what a loss is trained on, drawn from a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from invlearn.data.batches import Batch, EntityBatch, Pairs, Targets
from invlearn.data.dataset import Dataset, HasEntities, HasSpectra, Split
from invlearn.data.spectrum import Code, code_of

__all__ = ["DrawnPairs", "EntityBatches", "FourierCodes", "Sampler"]


class Sampler(ABC):
    """Draws the examples of an epoch."""

    kind: ClassVar[Literal["pairs", "entities", "targets"]]
    """Of its batches; ``trainer.batch_size=auto`` depends on it."""
    unit: ClassVar[str]
    """What it draws, in the plural."""
    smallest_batch: ClassVar[int] = 1
    """Examples from which something can be learned."""

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset without what is drawn here.

        Raises:
            ValueError: It says what is missing.
        """
        return

    def per_epoch(self, dataset: Dataset) -> int:
        """How many examples of a dataset an epoch goes through."""
        return dataset.size

    @abstractmethod
    def draw(self, dataset: Dataset, split: Split, seed: int) -> Batch:
        """Examples of a split of one replica, each tensor ``(N, ...)``."""


@dataclass(frozen=True)
class DrawnPairs(Sampler):
    """Pairs, half of them of one entity."""

    kind = "pairs"
    unit = "pairs"

    def draw(self, dataset: Dataset, split: Split, seed: int) -> Pairs:
        """Pairs of the dataset."""
        return dataset.pairs(split, seed)


@dataclass(frozen=True)
class EntityBatches(Sampler):
    """Entities with a few samples each: a batch of B samples holds B² pairs."""

    kind = "entities"
    unit = "entities"
    smallest_batch = 2

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset that knows pairs alone, or cannot say how far its entities are apart.

        Raises:
            ValueError: It is one.
        """
        if not isinstance(dataset, HasEntities):
            raise ValueError("pairs=batch needs entities, which this dataset does not have; try loss.pairs=drawn")
        dataset.check_entities()

    def per_epoch(self, dataset: Dataset) -> int:
        """Entities of an epoch."""
        assert isinstance(dataset, HasEntities)
        return dataset.entities_per_epoch

    def draw(self, dataset: Dataset, split: Split, seed: int) -> EntityBatch:
        """Entities of the dataset with their samples."""
        assert isinstance(dataset, HasEntities)
        return dataset.entities(split, seed)


@dataclass(frozen=True)
class FourierCodes(Sampler):
    """Signals with the code z* that is to be learned.

    Args:
        code: Which blocks it is made of.
    """

    kind = "targets"
    unit = "signals"
    code: Code

    def check(self, dataset: Dataset) -> None:
        """Refuse samples whose spectra nobody knows.

        Raises:
            ValueError: The dataset is no transformation family.
        """
        if not isinstance(dataset, HasSpectra):
            raise ValueError("supervised_dft needs known spectra, which this dataset does not have; try loss=pairwise")

    def draw(self, dataset: Dataset, split: Split, seed: int) -> Targets:
        """Signals x ``(N, d)`` and their target codes z* ``(N, code)``."""
        assert isinstance(dataset, HasSpectra)
        x, spectrum = dataset.spectra(split, seed)
        return Targets(x, torch.cat(list(code_of(spectrum, self.code).values()), dim=-1))
