"""The interface of all sources of examples: transformation families and users' samples."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from invlearn.data.batches import EntityBatch, Pairs, Spectra

__all__ = ["GALLERY", "Dataset", "HasCompleteInvariant", "HasEntities", "HasGaps", "HasLabels", "HasSpectra", "Split"]

Split = Literal["train", "valid", "test"]


GALLERY = 1_000
"""Number of entities among which ``recall_at_1`` finds one."""


class Dataset(Protocol):
    """A source of examples with d features, split into training, validation and test examples."""

    @property
    def dim(self) -> int:
        """Number of features d."""
        ...

    @property
    def size(self) -> int:
        """Number of pairs or signals to train on per epoch."""
        ...

    @property
    def seed(self) -> int | None:
        """Seed of the examples; None lets each replica draw its own, from its own seed."""
        ...

    @property
    def redraws(self) -> bool:
        """Whether training examples are drawn anew for each epoch."""
        ...

    def on(self, device: torch.device | str) -> Dataset:
        """The same examples, drawn on a device if that avoids moving them there."""
        ...

    def pairs(self, split: Split, seed: int) -> Pairs:
        """Pairs of a split, drawn from ``seed``."""
        ...

    def query_and_gallery(self, seed: int) -> tuple[Tensor, Tensor]:
        """Two samples each of up to ``GALLERY`` held-out entities, ``(n, d)`` twice, drawn from ``seed``."""
        ...


@runtime_checkable
class HasSpectra(Protocol):
    """A dataset with the spectra that a supervised code is computed from: a ``SpectralFamily``."""

    def spectra(self, split: Split, seed: int) -> Spectra:
        """Signals and spectra of a split, drawn from ``seed``."""
        ...


@runtime_checkable
class HasCompleteInvariant(Protocol):
    """A transformation family with a code that two signals share exactly if they lie on one orbit."""

    def complete_invariant(self, x: Tensor) -> Tensor:
        """The code of signals ``(*, d)``, ``(*, K)``, differentiable almost everywhere.

        It may fail to separate orbits on a set of measure zero, which the family names.
        """
        ...


@runtime_checkable
class HasEntities(Protocol):
    """A dataset that has several samples of an entity."""

    @property
    def entities_per_epoch(self) -> int:
        """Number of entities to train on per epoch."""
        ...

    def check_entities(self) -> None:
        """Refuse settings that do not allow comparing all entities of a batch.

        Raises:
            ValueError: A setting is unsuitable; it names the setting.
        """
        ...

    def entities(self, split: Split, seed: int) -> EntityBatch:
        """Entities of a split with their samples, drawn from ``seed``."""
        ...


@runtime_checkable
class HasGaps(Protocol):
    """A dataset whose samples may have had missing values, which have been filled."""

    @property
    def with_gaps(self) -> Dataset | None:
        """The same, drawn alike, with NaN for each value that was missing; None if none was."""
        ...


@runtime_checkable
class HasLabels(Protocol):
    """A dataset with samples whose entities are known."""

    def labelled(self, split: Split, seed: int, *, most: int) -> tuple[Tensor, Tensor]:
        """Samples of a split ``(n, d)`` and the numbers of their entities ``(n,)``, drawn from ``seed``.

        Args:
            split: The split.
            seed: Seed of the draw, if there are more than ``most``.
            most: Maximal number of samples.
        """
        ...
