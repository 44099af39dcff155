"""Pairs of held-out samples with the distances of their codes: what a calibration rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from invlearn.evaluation.distances import Array

__all__ = ["ComparedPairs", "pooled"]


@dataclass(frozen=True)
class ComparedPairs:
    """Pairs of samples and the distances of their codes.

    Args:
        distance: ``(N,)``, float64.
        same: Whether they are of one entity, ``(N,)``.
        entities: Numbers of their entities, ``(2, N)``, from 0; of pairs that have nothing in common, numbers of their
            own.
        samples: Numbers of their samples, ``(2, N)``; likewise.
        entity_pairs: How many pairs of different entities there are; their samples may make more pairs.
    """

    distance: Array
    same: np.ndarray
    entities: np.ndarray
    samples: np.ndarray
    entity_pairs: int

    def where(self, chosen: np.ndarray) -> ComparedPairs:
        """Some of them."""
        parts = (part[..., chosen] for part in (self.distance, self.same, self.entities, self.samples))
        return ComparedPairs(*parts, entity_pairs=self.entity_pairs)

    def at_least(self, distance: float) -> ComparedPairs:
        """The same with smaller distances raised to this one."""
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
