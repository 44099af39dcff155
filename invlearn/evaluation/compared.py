"""Pairs of held-out samples with the distances of their codes, the data of a calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from invlearn.evaluation.distances import Array

__all__ = ["ComparedPairs", "pooled"]


@dataclass(frozen=True)
class ComparedPairs:
    """Pairs of samples and the distances of their codes.

    Args:
        distance: ``(N,)``, float64.
        same: Whether they are of one entity, ``(N,)``.
        entities: Numbers of their entities, ``(2, N)``, from 0.
        samples: Numbers of their samples, ``(2, N)``.
        entity_pairs: Number of pairs of different entities; their samples may form more pairs.
    """

    distance: Array
    same: np.ndarray
    entities: np.ndarray
    samples: np.ndarray
    entity_pairs: int

    @classmethod
    def of_all(cls, distance: ArrayLike, entity: np.ndarray) -> ComparedPairs:
        """All pairs of n samples.

        Args:
            distance: ``(n (n - 1) / 2,)``, in the order of ``scipy.spatial.distance.pdist``.
            entity: Number of the entity of each sample, ``(n,)``.
        """
        labels, number = np.unique(entity, return_inverse=True)
        samples = np.stack(np.triu_indices(len(number), 1))
        ends = number[samples]
        # Pairs of samples of the same two entities are not independent.
        return cls(np.asarray(distance, dtype=np.float64), ends[0] == ends[1], ends, samples, math.comb(len(labels), 2))

    @property
    def are_unrelated(self) -> bool:
        """Whether each sample is in a single pair."""
        return len(np.unique(self.samples)) == self.samples.size

    def where(self, chosen: np.ndarray) -> ComparedPairs:
        """Some of them."""
        parts = (part[..., chosen] for part in (self.distance, self.same, self.entities, self.samples))
        return ComparedPairs(*parts, entity_pairs=self.entity_pairs)

    def among(self, kept: np.ndarray) -> ComparedPairs:
        """Pairs among some entities, given by a mask ``(E,)``."""
        inside = self.where(kept[self.entities[0]] & kept[self.entities[1]])
        share = (~inside.same).sum() / max(1, (~self.same).sum())
        return replace(inside, entity_pairs=round(share * self.entity_pairs))

    def at_least(self, distance: float) -> ComparedPairs:
        """The same pairs with distances clipped from below."""
        return replace(self, distance=np.maximum(self.distance, distance))


def pooled(parts: Sequence[ComparedPairs]) -> ComparedPairs:
    """Pairs of several divisions of the same data, no two of which have an entity in common."""

    def numbered(ends: Sequence[np.ndarray]) -> np.ndarray:
        starts = np.cumsum([0, *(int(each.max()) + 1 for each in ends[:-1])])
        return np.concatenate([each + start for each, start in zip(ends, starts, strict=True)], axis=1)

    return ComparedPairs(
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.same for part in parts]),
        numbered([part.entities for part in parts]),
        numbered([part.samples for part in parts]),
        sum(part.entity_pairs for part in parts),
    )
