"""Pairs of samples whose answer, same or different, is most informative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.suspects import find_suspects

__all__ = ["Doubts", "doubtful_labels", "doubtful_pairs"]

KNOWN = 0.5
"""Least probability at which two samples count as one entity when looking for contradictions."""

CLOSEST = 4
"""Neighbours of a sample that are compared with each other."""


@dataclass(frozen=True)
class Doubts:
    """m pairs to look at, the most informative first.

    Args:
        first: Index of one sample, ``(m,)``.
        second: Index of the other.
        score: How informative, 0 to 1.
        reason: ``label``: a sample does not fit its entity; ``threshold``: it is uncertain whether they are the same;
            ``contradiction``: both match a third sample, but not each other.
    """

    first: np.ndarray
    second: np.ndarray
    score: np.ndarray
    reason: np.ndarray

    def most(self, count: int) -> Doubts:
        """At most this many, the most informative first, without duplicates."""
        order = np.argsort(-self.score, kind="stable")
        ends = np.sort(np.stack([self.first, self.second]), axis=0)[:, order]
        _, once = np.unique(ends, axis=1, return_index=True)
        chosen = order[np.sort(once)[:count]]
        return Doubts(self.first[chosen], self.second[chosen], self.score[chosen], self.reason[chosen])


def doubtful_labels(samples: CodedSamples, entity: np.ndarray) -> Doubts:
    """Samples that do not fit their entity, each with the nearest sample of that label that fits, if there is one.

    The score is 1 - d'/d, with d the distance to its entity and d' that to the nearest other one.

    Args:
        samples: n samples with their codes by one encoder.
        entity: Number of the entity of each, from 0, ``(n,)``.
    """
    found = find_suspects(samples, torch.from_numpy(entity))
    first = found.index.numpy()
    order = np.argsort(entity, kind="stable")
    starts = np.searchsorted(entity[order], np.arange(entity.max() + 2))
    second, fits = np.empty_like(first), ~np.isin(np.arange(len(entity)), first)
    for place, sample in enumerate(first):
        number = entity[sample]
        others = order[starts[number] : starts[number + 1]]
        others = others[fits[others]] if fits[others].any() else others[others != sample]
        own = torch.full((len(others),), int(sample))
        second[place] = others[int(samples.apart(own, torch.from_numpy(others))[0].argmin())]
    score = 1 - (found.nearest_distance / found.distance).numpy()
    return Doubts(first, second, score, np.full(len(first), "label", dtype=object))


def doubtful_pairs(probability: np.ndarray, indices: np.ndarray, between: np.ndarray) -> Doubts:
    """Pairs whose probability is near a half, and pairs that contradict others.

    Args:
        probability: Of each sample and its neighbours, ``(n, k)``, the nearest first.
        indices: Of these neighbours, ``(n, k)``; -1 where there is none.
        between: Probability of the first four neighbours and each other, ``(n, 4, 4)``, or fewer.
    """
    n, k = indices.shape
    open_first, open_second = np.arange(n).repeat(k), indices.ravel()
    open_score = 1 - np.abs(2 * probability.ravel() - 1)
    close = between.shape[1]
    known = probability[:, :close]
    both = np.minimum(known[:, :, None], known[:, None])
    contradiction = np.where(both > KNOWN, both * (1 - between), 0.0)
    one, other = np.triu_indices(close, 1)
    against = contradiction[:, one, other].ravel()
    pair = indices[:, one].ravel(), indices[:, other].ravel()
    first, second = np.concatenate([open_first, pair[0]]), np.concatenate([open_second, pair[1]])
    score = np.concatenate([open_score, against])
    reason = np.repeat(np.array(["threshold", "contradiction"], dtype=object), [n * k, len(against)])
    kept = (score > 0) & (first >= 0) & (second >= 0)
    return Doubts(first[kept], second[kept], score[kept], reason[kept])
