"""Cyclic moves along a hidden cycle of the features (Section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from invlearn.data.family import roll_rows, shift_distance
from invlearn.data.seeding import seeded_generator
from invlearn.data.spectral import SpectralFamily
from invlearn.data.spectrum import bispectrum, dft, real_parts

__all__ = ["PermutationCycle"]


@dataclass(frozen=True, kw_only=True)
class PermutationCycle(SpectralFamily):
    """Values move a random number of steps along one fixed d-cycle; the invariant is the modulus of the DFT along it.

    Args:
        cycle_seed: Seed of the cycle, which all replicas share.
        cycle: The cycle itself, a permutation of 0 to d-1; ``auto`` draws it. A run stores the cycle that it used.
            As an attribute it is a tensor, ``(d,)``.

    Raises:
        ValueError: ``cycle`` is not a permutation of the features.
    """

    cycle_seed: int = 0
    cycle: Sequence[int] | Literal["auto"] | Tensor = field(default="auto", compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.cycle, str):
            cycle = torch.randperm(self.dim, generator=seeded_generator(self.cycle_seed, "cycle"))
        else:
            cycle = torch.as_tensor(self.cycle)
            if sorted(cycle.tolist()) != list(range(self.dim)):
                raise ValueError(f"cycle must be a permutation of 0 to {self.dim - 1}, got {cycle.tolist()}")
        object.__setattr__(self, "cycle", cycle)

    @property
    def order(self) -> Tensor:
        """The features in the order of the cycle, ``(d,)``."""
        assert isinstance(self.cycle, Tensor)  # set by __post_init__
        return self.cycle

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` numbers of steps."""
        return torch.randint(self.dim, (n,), generator=generator)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Move the values of each signal of ``(n, d)`` by ``g`` steps, ``(n,)``, along the cycle."""
        moved = torch.empty_like(x)
        moved[:, self.order] = roll_rows(x[:, self.order], g)
        return moved

    def spectrum(self, x: Tensor) -> Tensor:
        """DFT of the values in the order of the cycle, ``(*, d)``."""
        return dft(x[..., self.order])

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all numbers of steps, ``(n,)``."""
        return shift_distance(x[..., self.order], x_prime[..., self.order])

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Mean, power spectrum and bispectrum along the cycle, ``(*, K)``; complete where no bin of the DFT is 0."""
        return real_parts(bispectrum(x[..., self.order]))
