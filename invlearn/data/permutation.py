"""Sets: points in any order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily
from invlearn.data.seeding import seeded_generator

__all__ = ["Permutation"]


@dataclass(frozen=True, kw_only=True)
class Permutation(TransformationFamily):
    """``dim / coordinates`` points in any order; the invariant is their sorted projections onto fixed directions.

    A signal holds the coordinates of the first point, then those of the second, and so on.

    Args:
        coordinates: Coordinates of a point; with 1 a signal is a set of numbers.

    Raises:
        ValueError: ``dim`` is not a multiple of ``coordinates``, or a signal has a single point.
    """

    dim: int = 18
    distance: Literal["spectral", "orbit", "binary"] = "binary"
    coordinates: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coordinates < 1 or self.dim % self.coordinates or self.dim == self.coordinates:
            raise ValueError(f"coordinates must be a divisor of dim={self.dim} below it, got {self.coordinates}")

    @property
    def count(self) -> int:
        """Number of points of a signal."""
        return self.dim // self.coordinates

    @cached_property
    def directions(self) -> Tensor:
        """Unit vectors that points are projected onto, always the same, ``(coordinates, K)``.

        For n points of p coordinates, sorted projections onto K = n (p - 1) + 1 directions are complete. In each
        direction, a point of one signal has the projection of some point of the other signal. So one of these points
        agrees with it in p directions, which determine a point. Remove both points, and repeat with the others.
        """
        p = self.coordinates
        return _unit_vectors(p, self.count * (p - 1) + 1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, count)`` permutations."""
        return torch.rand(n, self.count, generator=generator).argsort(-1)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Put the points of each signal of ``(n, d)`` in the order ``g``, ``(n, count)``."""
        return self._points(x).gather(-2, g[..., None].expand(-1, -1, self.coordinates)).flatten(-2)

    def invariant(self, x: Tensor) -> Tensor:
        """Sorted projections, ``(*, K count)``, scaled so that the mean square of random ones is that of the points."""
        return self._sorted(x, self.directions)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all orders, ``(n,)``: an assignment problem for each pair."""
        from scipy.optimize import linear_sum_assignment  # its import takes a third of a second

        costs = torch.cdist(self._points(x.detach()), self._points(x_prime.detach())).square().cpu().numpy()
        orders = torch.tensor([linear_sum_assignment(cost)[1].tolist() for cost in costs], dtype=torch.long)
        orders = orders.view(-1, self.count).to(x.device)
        return torch.linalg.vector_norm(x - self.act(orders, x_prime), dim=-1)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Sorted projections onto sixteen times as many directions, ``(*, 16 K count)``; complete.

        The fewer projections of the invariant are complete too. With more of them, descent from one set to another
        rarely gets stuck.

        Reference:
            Rényi, "On projections of probability distributions" (1952); Balan, Haghani and Singh, "Permutation
            invariant representations with applications to graph deep learning" (2022).
        """
        return self._sorted(x, _unit_vectors(self.coordinates, 16 * self.directions.shape[1]))

    def _sorted(self, x: Tensor, directions: Tensor) -> Tensor:
        projected = (self._points(x) @ directions.to(x)).sort(-2).values
        return (projected * (self.coordinates / directions.shape[1]) ** 0.5).flatten(-2)

    def _points(self, x: Tensor) -> Tensor:
        """Signals ``(*, d)`` as points, ``(*, count, coordinates)``."""
        return x.unflatten(-1, (-1, self.coordinates))


def _unit_vectors(p: int, count: int) -> Tensor:
    generator = seeded_generator(0, "directions")
    return torch.nn.functional.normalize(torch.randn(p, count, generator=generator, dtype=torch.float64), dim=0)
