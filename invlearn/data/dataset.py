"""What training sees of any source of examples: a transformation family, or a user's own files."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from torch import Tensor

__all__ = ["GALLERY", "Dataset", "Pairs", "Spectra", "Split"]

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


class Dataset(Protocol):
    """A source of examples with d features, split into training, validation and test examples."""

    @property
    def dim(self) -> int:
        """Number of features d."""
        ...

    @property
    def size(self) -> int:
        """Number of training examples, an epoch."""
        ...

    @property
    def seed(self) -> int | None:
        """What examples are drawn from; None lets each replica draw its own, from its own seed."""
        ...

    def pairs(self, split: Split, seed: int) -> Pairs:
        """Pairs of a split, drawn from ``seed``."""
        ...

    def orbits(self, seed: int) -> tuple[Tensor, Tensor]:
        """Two samples each of up to ``GALLERY`` held-out entities, ``(n, d)`` twice, drawn from ``seed``."""
        ...

    def spectra(self, split: Split, seed: int) -> Spectra:
        """Signals and spectra of a split, drawn from ``seed``; own files have none."""
        ...
