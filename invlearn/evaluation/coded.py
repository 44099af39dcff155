"""Samples with their codes, and the distances between them.

Two samples with gaps are compared on common values: a value that one of them lacks is taken as missing in both.
Otherwise a filled value, which is a guess, is compared with a measured one. Filled alike in both samples, it differs as
little as the values that it is guessed from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from invlearn.data.distances import EXACT
from invlearn.losses.functional import code_distance

__all__ = ["CANDIDATES", "FURTHER", "KNOWN", "LEAST", "CodedSamples", "Encode", "common_values", "enlargement"]

CANDIDATES = 64
"""Maximal number of nearest samples, by codes of filled samples, that a search compares on common values."""

FURTHER = 4.0
"""Multiple of the nearest one's distance up to which they are compared; more hardly ever become the nearest."""

CLOSEST, PAIRS = 16, 20_000
"""Least number of nearest samples that a sample is compared with on common values, and how many pairs at least, if all
samples are compared with each other."""

LEAST = 1 / 3
"""Share of the values that two samples should have in common."""

KNOWN, POWER = 0.5, 4
"""Share of its values that a sample should have. With less, its distances grow with this power, because samples of few
values are all filled to nearly the mean: strangers have nearly equal codes."""

BLOCK = 2**22
"""Maximal number of features, or of numbers of codes, of first samples that are compared at a time."""

Encode = Callable[[Tensor], Tensor]
"""From scaled samples ``(n, d)``, NaN where a value is missing, to codes of R encoders, ``(R, n, C)``."""


class CodedSamples:
    """n samples and their codes.

    Args:
        encode: Fills gaps and encodes.
        x: Scaled samples, ``(n, d)``, NaN where a value is missing.
        codes: Their codes, ``(R, n, C)``; by default they are computed.
    """

    def __init__(self, encode: Encode, x: Tensor, codes: Tensor | None = None):
        self.encode = encode
        self.codes = encode(x) if codes is None else codes
        self.x = x.to(self.codes.device)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> CodedSamples:
        """Some of them."""
        return CodedSamples(self.encode, self.x[rows], self.codes[:, rows])

    @cached_property
    def rows(self) -> Tensor:
        """Their indices, ``(n,)``."""
        return torch.arange(len(self), device=self.x.device)

    @cached_property
    def has_gap(self) -> Tensor:
        """Which samples have a gap, ``(n,)``."""
        return torch.isnan(self.x).any(dim=1)

    def apart(
        self, first: Tensor, second: Tensor, other: CodedSamples | None = None, *, is_strict: bool = True
    ) -> Tensor:
        """Code distances of pairs, ``(R, N)``.

        Few values say little: strangers often agree on them. So if ``is_strict``, a pair with less than a third of the
        values in common is at least as far apart as its samples when each is filled by itself, and distances of samples
        with few values are multiplied by their ``enlargement``.

        Args:
            first: Index of the first sample of each pair, ``(N,)``.
            second: Index of the second one, ``(N,)``.
            other: The samples that ``second`` is of; by default these.
            is_strict: Whether few common values are not enough for a small distance.
        """
        other = other or self
        rows = max(1, BLOCK // max(1, self.x.shape[1], len(self.codes) * self.codes.shape[2]))
        parts = zip(first.split(rows), second.split(rows), strict=True)
        return torch.cat([self._apart(other, *part, is_strict=is_strict) for part in parts], dim=1)

    def _apart(self, other: CodedSamples, first: Tensor, second: Tensor, *, is_strict: bool) -> Tensor:
        distances = code_distance(self.codes[:, first], other.codes[:, second])
        index = (self.has_gap[first] | other.has_gap[second]).nonzero()[:, 0]
        if len(index):
            first, second = first[index], second[index]
            common = common_values(self.x[first], other.x[second])
            alike = code_distance(self._on(first, common), other._on(second, common))
            if is_strict:
                is_few = common.double().mean(1) < LEAST
                alike = torch.where(is_few, torch.maximum(alike, distances[:, index]), alike)
                alike = alike * enlargement(self.x[first], other.x[second]).to(alike)
            distances[:, index] = alike
        return distances

    def _on(self, rows: Tensor, values: Tensor) -> Tensor:
        """Codes of some samples by some of their values alone, given as a mask ``(N, d)``."""
        codes = self.codes[:, rows]
        less = (~values & ~torch.isnan(self.x[rows])).any(dim=1).nonzero()[:, 0]
        if len(less):
            x = self.x[rows[less]].masked_fill(~values[less], torch.nan)
            codes[:, less] = self.encode(x).to(codes)
        return codes

    def within(self, entity: Tensor | None = None, *, is_strict: bool = True) -> Tensor:
        """Code distances of all samples to each other, ``(R, n, n)``.

        Of many samples with gaps, only the pairs of one entity and the nearest ones are compared on common values; the
        others keep the distances of filled samples.

        Args:
            entity: Number of the entity of each, ``(n,)``.
            is_strict: As for ``apart``.
        """
        distances = torch.cdist(self.codes, self.codes, compute_mode=EXACT)
        chosen = self.has_gap[:, None] | self.has_gap
        if bool(chosen.any()):
            count = min(len(self), 1 + max(CLOSEST, PAIRS // len(self)))  # itself too
            is_near = _is_near(distances, count).any(dim=0)
            if entity is not None:
                entity = entity.to(is_near.device)
                is_near |= entity[:, None] == entity
            first, second = (chosen & (is_near | is_near.T)).triu(1).nonzero().T
            distances[:, first, second] = distances[:, second, first] = self.apart(first, second, is_strict=is_strict)
        return distances

    def search(self, gallery: CodedSamples) -> Tensor:
        """Code distances to each sample of a gallery, ``(R, n, m)``, float64.

        If samples have gaps, the nearest by codes of filled samples are compared on common values: up to 64, and up to
        four times the distance of the first. The others count as further than these.
        """
        distances = torch.cdist(self.codes.double(), gallery.codes.double(), compute_mode=EXACT)
        has_gap = self.has_gap[:, None] | gallery.has_gap
        if not bool(has_gap.any()):
            return distances
        is_near = _is_near(distances, CANDIDATES) & (distances <= FURTHER * distances.amin(dim=2, keepdim=True))
        first, second = (is_near.any(dim=0) & has_gap).nonzero().T
        distances[:, first, second] = self.apart(first, second, gallery).double()
        furthest = distances.masked_fill(~is_near, 0).amax(dim=2, keepdim=True)
        return torch.where(is_near, distances, torch.maximum(distances, furthest))


def _is_near(distances: Tensor, count: int) -> Tensor:
    """Which samples are among so many nearest, ``(R, n, m)``."""
    nearest = distances.topk(min(count, distances.shape[2]), dim=2, largest=False).indices
    return torch.zeros_like(distances, dtype=torch.bool).scatter_(2, nearest, True)


def enlargement(x: Tensor, x_prime: Tensor) -> Tensor:
    """Factor of the distances of pairs of samples, ``(N,)``; above 1 if one of the two has few values.

    Args:
        x: First samples, ``(N, d)``, NaN where a value is missing.
        x_prime: Second samples, ``(N, d)``.
    """
    known = torch.minimum(*((~torch.isnan(part)).double().mean(1) for part in (x, x_prime)))
    return (KNOWN / known.clamp(min=1 / x.shape[1])).clamp(min=1) ** POWER


def common_values(x: Tensor, x_prime: Tensor) -> Tensor:
    """Which values to compare two samples on, ``(*, d)``: those that both have; all, filled, if they share none."""
    common = ~(torch.isnan(x) | torch.isnan(x_prime))
    return common | ~common.any(dim=-1, keepdim=True)
