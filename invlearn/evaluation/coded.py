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

__all__ = ["CANDIDATES", "CodedSamples", "Encode"]

CANDIDATES = 64
"""Number of nearest samples, by codes of filled samples, that a search compares on common values."""

LEAST = 0.5
"""Share of the values that two samples should have in common."""

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

    @property
    def filled(self) -> CodedSamples:
        """The same, compared as filled."""
        return CodedSamples(self.encode, self.x[:, :0], self.codes)

    @cached_property
    def rows(self) -> Tensor:
        """Their indices, ``(n,)``."""
        return torch.arange(len(self), device=self.x.device)

    @cached_property
    def has_gap(self) -> Tensor:
        """Which samples have a gap, ``(n,)``."""
        return torch.isnan(self.x).any(dim=1)

    def apart(self, first: Tensor, second: Tensor, other: CodedSamples | None = None) -> Tensor:
        """Code distances of pairs, ``(R, N)``.

        Few common values say little: strangers often agree on them. So if less than half of the values are common, a
        pair is at least as far apart as its samples when each is filled by itself.

        Args:
            first: Index of the first sample of each pair, ``(N,)``.
            second: Index of the second one, ``(N,)``.
            other: The samples that ``second`` is of; by default these.
        """
        other = other or self
        rows = max(1, BLOCK // max(self.x.shape[1], self.codes[:, :1].numel()))
        parts = zip(first.split(rows), second.split(rows), strict=True)
        return torch.cat([self._apart(other, *part) for part in parts], dim=1)

    def _apart(self, other: CodedSamples, first: Tensor, second: Tensor) -> Tensor:
        distances = code_distance(self.codes[:, first], other.codes[:, second])
        index = (self.has_gap[first] | other.has_gap[second]).nonzero()[:, 0]
        if len(index):
            first, second = first[index], second[index]
            alike = code_distance(*self.on_common(first, second, other))
            is_few = _common(self.x[first], other.x[second]).double().mean(1) < LEAST
            distances[:, index] = torch.where(is_few, torch.maximum(alike, distances[:, index]), alike)
        return distances

    def on_common(self, first: Tensor, second: Tensor, other: CodedSamples | None = None) -> tuple[Tensor, Tensor]:
        """Codes of both samples of pairs, by their common values alone, ``(R, N, C)`` each; arguments as for ``apart``.

        Samples without a common value are filled separately.
        """
        other = other or self
        common = _common(self.x[first], other.x[second])
        common |= ~common.any(dim=1, keepdim=True)
        return self._on(first, common), other._on(second, common)

    def _on(self, rows: Tensor, values: Tensor) -> Tensor:
        """Codes of some samples by some of their values alone, given as a mask ``(N, d)``."""
        codes = self.codes[:, rows]
        less = (~values & ~torch.isnan(self.x[rows])).any(dim=1).nonzero()[:, 0]
        if len(less):
            x = self.x[rows[less]].masked_fill(~values[less], torch.nan)
            codes[:, less] = self.encode(x).to(codes)
        return codes

    def within(self) -> Tensor:
        """Code distances of all samples to each other, ``(R, n, n)``."""
        distances = torch.cdist(self.codes, self.codes, compute_mode=EXACT)
        first, second = (self.has_gap[:, None] | self.has_gap).triu(1).nonzero().T
        if len(first):
            distances[:, first, second] = distances[:, second, first] = self.apart(first, second)
        return distances

    def search(self, gallery: CodedSamples) -> Tensor:
        """Code distances to each sample of a gallery, ``(R, n, m)``, float64.

        If samples have gaps, the ``CANDIDATES`` nearest by codes of filled samples are compared on common values; the
        others count as further than these.
        """
        distances = torch.cdist(self.codes.double(), gallery.codes.double(), compute_mode=EXACT)
        has_gap = self.has_gap[:, None] | gallery.has_gap
        if not bool(has_gap.any()):
            return distances
        candidates = distances.topk(min(CANDIDATES, len(gallery)), dim=2, largest=False).indices
        is_near = torch.zeros_like(distances, dtype=torch.bool).scatter_(2, candidates, True)
        first, second = (is_near.any(dim=0) & has_gap).nonzero().T
        distances[:, first, second] = self.apart(first, second, gallery).double()
        furthest = distances.gather(2, candidates).amax(dim=2, keepdim=True)
        return torch.where(is_near, distances, torch.maximum(distances, furthest))


def _common(x: Tensor, x_prime: Tensor) -> Tensor:
    """Which values both samples of pairs have, ``(N, d)``."""
    return ~(torch.isnan(x) | torch.isnan(x_prime))
