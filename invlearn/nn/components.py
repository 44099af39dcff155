"""A projection onto principal components before an encoder, and back after a decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Components"]


class Components(nn.Module):
    r"""Coordinates of samples along fixed directions, one set per replica.

    .. math:: y = (x - μ) V / c, \quad \hat x = c \, y V^T + μ

    The directions come from the training samples before training starts, and are not trained. Until then they are 0.

    Args:
        dim: Features d of a sample.
        rank: Coordinates r, 1 to d.
        replicas: R.

    Attributes:
        mean: μ, ``(R, 1, d)``.
        axes: V, orthonormal columns or zeros, ``(R, d, r)``.
        scale: c, which scales coordinates of training samples to a mean square of 1, ``(R, 1, 1)``.

    Raises:
        ValueError: ``rank`` is out of range.
    """

    def __init__(self, dim: int, rank: int, replicas: int):
        super().__init__()
        if not 1 <= rank <= dim:
            raise ValueError(f"rank must be 1 to {dim}, the number of features, or null, got {rank}")
        self.mean = nn.Parameter(torch.zeros(replicas, 1, dim), requires_grad=False)
        self.axes = nn.Parameter(torch.zeros(replicas, dim, rank), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(replicas, 1, 1), requires_grad=False)

    @property
    def rank(self) -> int:
        """Coordinates r."""
        return self.axes.shape[2]

    def forward(self, x: Tensor) -> Tensor:
        """Map samples ``(R, B, d)`` to coordinates ``(R, B, r)``."""
        return (x - self.mean) @ self.axes / self.scale

    def undo(self, y: Tensor) -> Tensor:
        """The samples ``(R, B, d)`` nearest to the mean that have these coordinates ``(R, B, r)``."""
        return self.scale * y @ self.axes.mT + self.mean

    @torch.no_grad()
    def set(self, replica: int, mean: Tensor, axes: Tensor, scale: Tensor) -> None:
        """Give a replica its directions.

        Args:
            replica: Index of the replica.
            mean: ``(d,)``.
            axes: Orthonormal, ``(d, k)``; if k > r the first r are used, if k < r the last coordinates stay 0.
            scale: A number.
        """
        self.mean[replica, 0] = mean
        self.axes[replica, :, : axes.shape[1]] = axes[:, : self.rank]
        self.scale[replica] = scale

    def extra_repr(self) -> str:
        """Widths of input and output."""
        return f"{self.axes.shape[1]}, {self.rank}"
