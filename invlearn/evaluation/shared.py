"""Samples with gaps are compared on common values: a value that one of the two lacks is missing in both.

Otherwise a filled value, which is a guess, is compared with a measured one. Filled alike in both samples, it differs as
little as the values that it is guessed from.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invlearn.data.distances import EXACT
from invlearn.losses.functional import code_distance

__all__ = ["CANDIDATES", "Encode", "all_distances", "between", "codes_of_pairs", "search_distances"]

CANDIDATES = 64
"""Nearest samples, by codes of filled samples, that are compared again."""

LEAST = 0.5
"""Share of the values that two samples should have in common."""

BLOCK = 2**22
"""Maximal number of features of all first samples that are encoded at a time."""

Encode = Callable[[Tensor], Tensor]
"""From samples ``(n, d)``, NaN where a value is missing, to codes of R encoders, ``(R, n, C)``."""


def codes_of_pairs(encode: Encode, x: Tensor, x_prime: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of both samples of pairs, ``(R, N, C)`` each; samples without a common value are filled separately.

    Args:
        encode: Encodes samples and fills their gaps.
        x: First samples, ``(N, d)``.
        x_prime: Second samples, ``(N, d)``.
    """
    missing = torch.isnan(x) | torch.isnan(x_prime)
    missing &= ~missing.all(dim=1, keepdim=True)
    return encode(x.masked_fill(missing, torch.nan)), encode(x_prime.masked_fill(missing, torch.nan))


def between(encode: Encode, x: Tensor, x_prime: Tensor, first: Tensor, second: Tensor, *, filled: Tensor) -> Tensor:
    """Code distances of pairs of samples on their common values, ``(R, N)``, float64.

    Few common values say little: strangers often agree on them. So if less than half of the values are common, a pair
    is at least as far apart as its filled samples.

    Args:
        encode: Encodes samples and fills their gaps.
        x: Samples, ``(n, d)``.
        x_prime: Samples, ``(m, d)``.
        first: Index in x of the first sample of each pair, ``(N,)``.
        second: Index in x_prime of the second one, ``(N,)``.
        filled: Code distances of the filled samples, ``(R, N)``.
    """
    found, rows = [], max(1, BLOCK // x.shape[1])
    for index, other, as_filled in zip(first.split(rows), second.split(rows), filled.split(rows, dim=1), strict=True):
        one, two = x[index], x_prime[other]
        common = (~(torch.isnan(one) | torch.isnan(two))).double().mean(1)
        distances = code_distance(*codes_of_pairs(encode, one, two)).double()
        found.append(torch.where(common < LEAST, torch.maximum(distances, as_filled.to(distances)), distances))
    return torch.cat(found, dim=1)


def search_distances(encode: Encode, queries: Tensor, gallery: Tensor) -> Tensor:
    """Code distances of each query to each sample of a gallery, ``(R, n, m)``, float64.

    If samples have gaps, only the nearest by codes of filled samples count; the others are infinitely far.

    Args:
        encode: Encodes samples and fills their gaps.
        queries: ``(n, d)``.
        gallery: ``(m, d)``.
    """
    distances = torch.cdist(encode(queries).double(), encode(gallery).double(), compute_mode=EXACT)
    has_gap = torch.isnan(queries).any(dim=1)[:, None] | torch.isnan(gallery).any(dim=1)
    if not bool(has_gap.any()):
        return distances
    nearest = distances.topk(min(CANDIDATES, len(gallery)), dim=2, largest=False).indices
    is_near = torch.zeros_like(distances, dtype=torch.bool).scatter_(2, nearest, True)
    first, second = (is_near.any(dim=0) & has_gap.to(is_near.device)).nonzero().T
    distances[:, first, second] = between(encode, queries, gallery, first, second, filled=distances[:, first, second])
    return distances.masked_fill(~is_near, torch.inf)


def all_distances(encode: Encode, x: Tensor) -> Tensor:
    """Code distances of all samples, ``(R, n, n)``.

    Args:
        encode: Encodes samples and fills their gaps.
        x: Samples, ``(n, d)``.
    """
    codes = encode(x)
    distances = torch.cdist(codes, codes, compute_mode=EXACT)
    has_gap = torch.isnan(x).any(dim=1)
    first, second = (has_gap[:, None] | has_gap).triu(1).nonzero().T
    if len(first):
        found = between(encode, x, x, first, second, filled=distances[:, first, second]).to(distances)
        distances[:, first, second] = distances[:, second, first] = found
    return distances
