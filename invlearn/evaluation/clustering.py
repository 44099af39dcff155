"""Compare clusters with entities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ClusterScores", "score_clusters"]


@dataclass(frozen=True)
class ClusterScores:
    """How clusters agree with entities.

    Args:
        rows: Number of rows with a label; other rows are ignored.
        entities: Number of their entities.
        clusters: Number of their clusters.
        precision: Share of the pairs of rows in one cluster that are of one entity.
        recall: Share of the pairs of rows of one entity that are in one cluster.
        b_cubed_precision: Share of a row's cluster that is of its entity, mean over rows (Bagga and Baldwin, 1998).
        b_cubed_recall: Share of a row's entity that is in its cluster, mean over rows.
        adjusted_rand: Rand index, corrected for chance (Hubert and Arabie, 1985); 1 is perfect, 0 is chance.
    """

    rows: int
    entities: int
    clusters: int
    precision: float
    recall: float
    b_cubed_precision: float
    b_cubed_recall: float
    adjusted_rand: float

    @property
    def b_cubed_f1(self) -> float:
        """Harmonic mean of both B-cubed scores."""
        return 2 * self.b_cubed_precision * self.b_cubed_recall / (self.b_cubed_precision + self.b_cubed_recall)


def score_clusters(cluster: np.ndarray, entity: np.ndarray) -> ClusterScores:
    """Compare clusters with entities, in linear memory.

    Args:
        cluster: Number of the cluster of each row, ``(n,)``, n at least 1.
        entity: Number of its entity, ``(n,)``.
    """
    n = len(cluster)
    clusters, sizes = np.unique(cluster, return_inverse=True, return_counts=True)[1:]
    entities, counts = np.unique(entity, return_inverse=True, return_counts=True)[1:]
    cells, shared = np.unique(clusters * len(counts) + entities, return_counts=True)
    of_cluster, of_entity = sizes[cells // len(counts)], counts[cells % len(counts)]
    together, in_clusters, in_entities, possible = (_pairs(each) for each in (shared, sizes, counts, np.array([n])))
    by_chance = in_clusters * in_entities / possible if possible else 0.0
    most = (in_clusters + in_entities) / 2
    return ClusterScores(
        n,
        len(counts),
        len(sizes),
        together / in_clusters if in_clusters else 1.0,
        together / in_entities if in_entities else 1.0,
        float((shared**2 / of_cluster).sum() / n),
        float((shared**2 / of_entity).sum() / n),
        (together - by_chance) / (most - by_chance) if most > by_chance else 1.0,
    )


def _pairs(sizes: np.ndarray) -> float:
    """Number of pairs within groups of these sizes."""
    counts = sizes.astype(float)
    return float((counts * (counts - 1)).sum() / 2)
