"""Cyclic moves along a hidden cycle that change signs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from invlearn.data.family import roll_rows, shift_distance
from invlearn.data.permcycle import PermutationCycle
from invlearn.data.seeding import seeded_generator
from invlearn.data.spectrum import dft, real_parts

__all__ = ["SignedPermutationCycle"]


@dataclass(frozen=True, kw_only=True)
class SignedPermutationCycle(PermutationCycle):
    r"""Values move along a hidden d-cycle; some of its steps change their sign, an odd number in all.

    After one round a signal is negated, after two rounds it is restored, so the group has 2d elements. (With an even
    number of sign changes it would be ``permcycle`` with some features negated.) Up to hidden signs, a signal followed
    by its negative is a signal of length 2d that shifts circularly; the invariant is the modulus of its DFT, which has
    odd frequencies only. -x lies on the orbit of x, so invariants of odd degree vanish, in particular cubic ones.

    Args:
        cycle_seed: Seed of the cycle and the signs, which all replicas share.
    """

    @cached_property
    def signs(self) -> Tensor:
        """Hidden signs of the features in the order of the cycle, ``(d,)``."""
        return 1 - 2 * torch.randint(2, (self.dim,), generator=seeded_generator(self.cycle_seed, "signs"))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` numbers of steps, 0 to 2d-1."""
        return torch.randint(2 * self.dim, (n,), generator=generator)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Move the values of each signal of ``(n, d)`` by ``g`` steps, ``(n,)``, along the cycle."""
        moved = torch.empty_like(x)
        moved[:, self.order] = roll_rows(self._twice_around(x), g)[:, : self.dim] * self.signs.to(x)
        return moved

    def spectrum(self, x: Tensor) -> Tensor:
        """DFT at odd frequencies of a signal and its negative, along the cycle, ``(*, d)``."""
        return dft(self._twice_around(x))[..., 1::2] / 2

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all numbers of steps, ``(n,)``."""
        return shift_distance(self._twice_around(x), self._twice_around(x_prime)) / 2**0.5

    def complete_invariant(self, x: Tensor) -> Tensor:
        r"""Power spectrum and part of the trispectrum, ``(*, K)``, K about d²; complete where no value of X is 0.

        .. math:: |X_k|^2, \quad X_{k-j} \bar X_k^2 X_{k+j} \ \text{for odd k and even j up to d}

        j = 2 alone is complete, but with it two distant signals can have nearly equal values.
        """
        spectrum = self.spectrum(x)
        squared = spectrum.conj().square()
        fourth = [spectrum.roll(j, -1) * squared * spectrum.roll(-j, -1) for j in range(1, self.dim // 2 + 1)]
        return torch.cat([spectrum.abs().square(), *map(real_parts, fourth)], dim=-1)

    def _twice_around(self, x: Tensor) -> Tensor:
        """A signal and its negative, in the order of the cycle and without the hidden signs, ``(*, 2d)``."""
        once = x[..., self.order] * self.signs.to(x)
        return torch.cat([once, -once], dim=-1)
