"""What training sees of any source of examples: a transformation family, or a user's own files."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["GALLERY", "Dataset", "Grouped", "Groups", "OfEntities", "Pairs", "Spectra", "Spectral", "Split"]

Split = Literal["train", "valid", "test"]


GALLERY = 1_000
"""Number of entities among which ``recall_at_1`` finds one."""


class Pairs(NamedTuple):
    """Pairs of samples, the only thing the pairwise loss sees (Section 5's triples).

    Leading dimensions ``*`` are ``(n,)`` for one draw and ``(R, n)`` or ``(1, n)`` for a stack of replicas.
    """

    x: Tensor
    """First samples, ``(*, d)``."""
    x_prime: Tensor
    """Second samples, ``(*, d)``."""
    distance: Tensor
    """True distance d* >= 0 of each pair, ``(*,)``; exactly 0 where both are the same entity."""


class Spectra(NamedTuple):
    """Signals with the spectrum that a supervised code is made of (Section 3)."""

    x: Tensor
    """Signals, ``(*, d)``."""
    spectrum: Tensor
    """Complex spectra, ``(*, d)``, whose modulus is invariant."""


class Groups(NamedTuple):
    """Entities with k samples each; a batch of them holds all the pairs of their samples."""

    x: Tensor
    """Samples, ``(*, k, d)``."""
    entity: Tensor
    """The entity's number, ``(*,)``: a batch may hold an entity twice."""
    reference: Tensor
    """What tells how far entities are apart, ``(*, q, D)``: d* is the smallest distance between rows of both.

    D = 0 says that all different entities are 1 apart."""


class Dataset(Protocol):
    """A source of examples with d features, split into training, validation and test examples."""

    @property
    def dim(self) -> int:
        """Number of features d."""
        ...

    @property
    def size(self) -> int:
        """Number of pairs or signals to train on, an epoch."""
        ...

    @property
    def seed(self) -> int | None:
        """What examples are drawn from; None lets each replica draw its own, from its own seed."""
        ...

    @property
    def redraws(self) -> bool:
        """Whether training examples are drawn anew for each epoch."""
        ...

    def on(self, device: torch.device | str) -> Dataset:
        """The same examples, drawn on a device as far as that saves moving them there."""
        ...

    def pairs(self, split: Split, seed: int) -> Pairs:
        """Pairs of a split, drawn from ``seed``."""
        ...

    def orbits(self, seed: int) -> tuple[Tensor, Tensor]:
        """Two samples each of up to ``GALLERY`` held-out entities, ``(n, d)`` twice, drawn from ``seed``."""
        ...


@runtime_checkable
class Spectral(Protocol):
    """What can also tell the spectra that a supervised code is made of: transformation families."""

    def spectra(self, split: Split, seed: int) -> Spectra:
        """Signals and spectra of a split, drawn from ``seed``."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """What can also give several samples of one entity."""

    @property
    def group_count(self) -> int:
        """Number of groups to train on, an epoch."""
        ...

    def groups(self, split: Split, seed: int) -> Groups:
        """Entities of a split with their samples, drawn from ``seed``."""
        ...


@runtime_checkable
class OfEntities(Protocol):
    """What can also tell which of many samples are of one entity."""

    def labelled(self, split: Split, seed: int, *, most: int) -> tuple[Tensor, Tensor]:
        """Samples of a split ``(n, d)`` and the numbers of their entities ``(n,)``, drawn from ``seed``.

        Args:
            split: The split.
            seed: What they are drawn from, where there are more than ``most``.
            most: How many samples at most.
        """
        ...
