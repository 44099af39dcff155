"""What a network is trained on: pairs with a distance, or signals with their spectra."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Pairs", "Spectra"]


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
