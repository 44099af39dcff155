"""Pairs as indices of samples, because a sample may be in many pairs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.data.seeding import seeded_generator

__all__ = ["IndexedPairs", "distinct", "one_of_each"]

ROWS = 4_096
"""Samples that are compared at a time."""


def distinct(x: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct samples ``(m, d)``, and the index of each sample among them, ``(n,)``; x itself if m is above n/2.

    Args:
        x: Samples ``(n, d)``.

    Example:
        >>> samples, index = distinct(torch.tensor([[2.0], [1.0], [2.0], [2.0]]))
        >>> len(samples), samples[index].flatten().tolist()
        (2, [2.0, 1.0, 2.0, 2.0])
    """
    weights = torch.randn(x.shape[1], dtype=torch.float64, generator=seeded_generator(0, "key")).to(x.device)
    # In float64, because sums in float32 are often equal by chance.
    key = torch.cat([(part.double() * weights).sum(1) for part in x.split(ROWS)])
    values, index = key.unique(return_inverse=True)
    if 2 * len(values) <= len(x):
        samples = x[one_of_each(index, len(values))]
        if torch.equal(samples[index], x):
            return samples, index
    return x, torch.arange(len(x), device=x.device)


def one_of_each(index: Tensor, count: int) -> Tensor:
    """A row of each of the values 0 to count - 1 in an index, ``(count,)``."""
    return index.new_empty(count).scatter_(0, index, torch.arange(len(index), device=index.device))


class IndexedPairs(NamedTuple):
    """N pairs of n samples; each sample is processed once, even if it is in many pairs."""

    samples: Tensor
    """``(n, d)``."""
    first: Tensor
    """Index of the first sample of each pair, ``(N,)``."""
    second: Tensor
    """Index of the second one, ``(N,)``."""

    @classmethod
    def of(cls, x: Tensor, x_prime: Tensor) -> IndexedPairs:
        """Pairs of samples, ``(N, d)`` twice; equal samples are kept once.

        Example:
            >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
            >>> [len(part) for part in IndexedPairs.of(x, x.flip(0))]
            [2, 3, 3]
        """
        samples, index = distinct(torch.cat([x, x_prime]))
        return cls(samples, *index.view(2, -1))

    def differences(self, values: Tensor, vectors: Tensor) -> Tensor:
        """Differences of linear functions between the samples of each pair, ``(N, k)``.

        Args:
            values: Of each sample, ``(n, m)``.
            vectors: Of k functions, ``(m, k)``.
        """
        if len(values) > len(self.first):
            return (values[self.first] - values[self.second]) @ vectors
        codes = values @ vectors
        return codes[self.first] - codes[self.second]
