"""Distances of samples with gaps: a value that one of two samples lacks is missing in both."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.shared import between

__all__ = ["compared_again", "distances_of_pairs"]


def distances_of_pairs(
    encoder: InvariantEncoder,
    x: np.ndarray,
    x_prime: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    filled: np.ndarray,
) -> np.ndarray:
    """Distances of pairs of samples on their common values, ``(N,)``.

    Args:
        encoder: The encoder.
        x: Samples, ``(n, d)``, NaN where a value is missing.
        x_prime: Samples, ``(m, d)``.
        pairs: Index in x of the first sample of each pair, and in x_prime of the second, ``(N,)`` each.
        filled: Distances of the filled samples, ``(N,)``, which are those of pairs without gaps.
    """
    gaps = [np.asarray(np.isnan(part).any(axis=1)) for part in (x, x_prime)]
    has_gap = gaps[0][pairs[0]] | gaps[1][pairs[1]]
    if not has_gap.any():
        return filled

    def encode(samples: Tensor) -> Tensor:
        return encoder.encode(samples)[0][None]

    one, two = (torch.from_numpy(np.ascontiguousarray(part)) for part in (x, x_prime))
    first, second = (torch.from_numpy(index[has_gap]) for index in pairs)
    distances = filled.copy()
    as_filled = torch.from_numpy(filled[has_gap])[None]
    distances[has_gap] = between(encode, one, two, first, second, filled=as_filled)[0].numpy()
    return distances


def compared_again(
    encoder: InvariantEncoder, queries: np.ndarray, gallery: np.ndarray, distances: np.ndarray, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The results of a search, ``(n, k)`` each, in the order of the distances on common values.

    Args:
        encoder: The encoder.
        queries: ``(n, d)``.
        gallery: ``(m, d)``.
        distances: Distances of filled samples, ``(n, k)``, infinite where nothing was found.
        indices: Indices in the gallery, ``(n, k)``, -1 where nothing was found.
    """
    rows, ranks = np.nonzero(indices >= 0)
    found = distances.copy()
    at = rows, ranks
    found[at] = distances_of_pairs(encoder, queries, gallery, (rows, indices[at].astype(np.int64)), distances[at])
    order = np.argsort(found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(indices, order, axis=1)
