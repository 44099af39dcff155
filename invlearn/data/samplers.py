"""Samplers, which draw the training examples of a loss from a dataset."""

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
    """Kind of its batches; ``trainer.batch_size=auto`` depends on it."""
    unit: ClassVar[str]
    """Word for its examples, in the plural."""
    smallest_batch: ClassVar[int] = 1
    """Least number of examples that a batch needs."""

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset that lacks these examples.

        Raises:
            ValueError: They are missing; it says what is.
        """
        return

    def per_epoch(self, dataset: Dataset) -> int:
        """Number of examples of a dataset in an epoch."""
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
    """Entities with a few samples each: a batch of B samples has B² pairs."""

    kind = "entities"
    unit = "entities"
    smallest_batch = 2

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset without entities, or without distances between them.

        Raises:
            ValueError: It lacks them.
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
    """Signals with their target code z*.

    Args:
        code: The blocks of the code.
    """

    kind = "targets"
    unit = "signals"
    code: Code

    def check(self, dataset: Dataset) -> None:
        """Refuse samples without known spectra.

        Raises:
            ValueError: The dataset is not a transformation family with spectra.
        """
        if not isinstance(dataset, HasSpectra):
            raise ValueError("supervised_dft needs known spectra, which this dataset does not have; try loss=pairwise")

    def draw(self, dataset: Dataset, split: Split, seed: int) -> Targets:
        """Signals x ``(N, d)`` and their target codes z* ``(N, code)``."""
        assert isinstance(dataset, HasSpectra)
        x, spectrum = dataset.spectra(split, seed)
        return Targets(x, torch.cat(list(code_of(spectrum, self.code).values()), dim=-1))
