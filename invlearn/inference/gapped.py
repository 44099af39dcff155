"""Distances of samples with gaps: a value that one of two samples lacks is missing in both."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.shared import between

__all__ = ["compared_again", "distances_with_gaps"]


def distances_with_gaps(
    encoder: InvariantEncoder, x: np.ndarray, x_prime: np.ndarray, filled: np.ndarray
) -> np.ndarray:
    """Distances of pairs, ``(n,)``, infinite for samples without a common value.

    Args:
        encoder: The encoder.
        x: First samples, ``(n, d)``, NaN where a value is missing.
        x_prime: Second samples, ``(n, d)``.
        filled: Distances of filled samples, ``(n,)``, which are kept where there are no gaps.
    """
    has_gap = np.isnan(x).any(axis=1) | np.isnan(x_prime).any(axis=1)
    if not has_gap.any():
        return filled

    def encode(samples: Tensor) -> Tensor:
        return torch.from_numpy(encoder.encode(samples.numpy())[0])[None]

    distances = filled.copy()
    first, second = (torch.from_numpy(np.array(part[has_gap])) for part in (x, x_prime))
    distances[has_gap] = between(encode, first, second)[0].numpy()
    return distances


def compared_again(
    encoder: InvariantEncoder, queries: np.ndarray, gallery: np.ndarray, distances: np.ndarray, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The results of a search in the order of the distances on common values, ``(n, k)`` each.

    Args:
        encoder: The encoder.
        queries: ``(n, d)``.
        gallery: ``(m, d)``.
        distances: Distances of filled samples, ``(n, k)``, infinite where nothing was found.
        indices: Indices in the gallery, ``(n, k)``, -1 where nothing was found.
    """
    rows, ranks = np.nonzero(indices >= 0)
    found = distances.copy()
    ours, theirs = queries[rows], gallery[indices[rows, ranks]]
    found[rows, ranks] = distances_with_gaps(encoder, ours, theirs, distances[rows, ranks])
    order = np.argsort(found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(indices, order, axis=1)
