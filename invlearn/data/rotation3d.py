"""Rotations of a body: n points in space, rotated together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily

__all__ = ["Rotation3D"]


@dataclass(frozen=True, kw_only=True)
class Rotation3D(TransformationFamily):
    """``dim / 3`` points in space, rotated about the origin; the invariant is all distances, also from the origin.

    A signal holds x, y and z of the first point, then those of the second, and so on. Distances are the same for a
    mirror image.

    Raises:
        ValueError: ``dim`` is not a multiple of 3.
    """

    dim: int = 18
    distance: Literal["spectral", "orbit", "binary"] = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % 3:
            raise ValueError(f"dim must be a multiple of 3, for points in space, got {self.dim}")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, 3, 3)`` rotations, uniformly: a random direction in four dimensions is a unit quaternion."""
        w, x, y, z = torch.nn.functional.normalize(
            torch.randn(n, 4, generator=generator, dtype=torch.float64), dim=-1
        ).unbind(-1)
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """Rotate the points of each signal of ``(n, d)`` by its own matrix, ``(n, 3, 3)``."""
        return (_points(x) @ g.mT.to(x)).flatten(-2)

    def invariant(self, x: Tensor) -> Tensor:
        """Distances of points from the origin and from each other, ``(*, n (n + 1) / 2)``."""
        points = torch.nn.functional.pad(_points(x), (0, 0, 1, 0))
        first, second = torch.triu_indices(points.shape[-2], points.shape[-2], 1, device=x.device)
        return torch.linalg.vector_norm(points[..., first, :] - points[..., second, :], dim=-1)

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest distance over all rotations, ``(n,)``, at Kabsch's rotation.

        Reference:
            Kabsch, "A solution for the best rotation to relate two sets of vectors" (1976).
        """
        u, _, vh = torch.linalg.svd(_points(x.detach()).mT @ _points(x_prime.detach()))
        signs = torch.ones_like(u[..., 0])
        signs[..., 2] = torch.linalg.det(u @ vh).sign()  # a rotation, not a mirror image
        return torch.linalg.vector_norm(x - self.act(u * signs[..., None, :] @ vh, x_prime), dim=-1)

    def complete_invariant(self, x: Tensor) -> Tensor:
        """Inner products of all points, and determinants of three points in a row, ``(*, n (n + 1) / 2 + n)``.

        Inner products separate all signals except mirror images. Determinants separate these, unless every three
        consecutive points (cyclically) lie in a plane with the origin.

        Reference:
            Weyl, "The classical groups" (1946): these generate all polynomial invariants.
        """
        points = _points(x)
        first, second = torch.triu_indices(points.shape[-2], points.shape[-2], device=x.device)
        rows = torch.stack([points.roll(-step, -2) for step in range(3)], dim=-2)
        gram = points @ points.mT
        return torch.cat([gram[..., first, second], torch.linalg.det(rows)], dim=-1)


def _points(x: Tensor) -> Tensor:
    """Signals ``(*, d)`` as points, ``(*, n, 3)``."""
    return x.unflatten(-1, (-1, 3))
