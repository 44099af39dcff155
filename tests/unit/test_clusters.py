"""Clusters, assignments one to one, and what clusters are scored by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import pair_confusion_matrix

from invlearn.evaluation.clustering import score_clusters
from invlearn.inference import assignment, clusters
from invlearn.inference.assignment import assign
from invlearn.inference.clusters import cluster_codes


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distances = cdist(queries, gallery)
    if queries is gallery:
        np.fill_diagonal(distances, np.inf)
    indices = distances.argsort(1)[:, :k]
    return np.take_along_axis(distances, indices, 1), indices


@pytest.fixture(scope="module")
def points() -> tuple[np.ndarray, np.ndarray]:
    """Codes of 100 entities, 1 to 6 of each, and their entities."""
    rng = np.random.default_rng(0)
    entity = np.arange(100).repeat(rng.integers(1, 7, 100))
    centres = rng.normal(size=(100, 6))
    return centres[entity] + 0.05 * rng.normal(size=(len(entity), 6)), entity


@pytest.mark.parametrize("method", ["average", "single"])
def test_clusters_are_the_entities(points: tuple[np.ndarray, np.ndarray], method: clusters.Linkage) -> None:
    codes, entity = points
    found = cluster_codes(codes, *nearest(codes, codes, 8), 0.4, method)
    assert score_clusters(found, entity).adjusted_rand > 0.98
    _, first = np.unique(found, return_index=True)
    assert (np.diff(first) > 0).all()


def test_a_chain_is_one_cluster_by_single_linkage_alone() -> None:
    codes = np.linspace(0, 10, 101)[:, None]
    near = nearest(codes, codes, 4)
    assert len(np.unique(cluster_codes(codes, *near, 0.15, "single"))) == 1
    assert len(np.unique(cluster_codes(codes, *near, 0.15, "average"))) > 20


def test_a_false_link_does_not_join_two_entities_by_average_linkage() -> None:
    rng = np.random.default_rng(0)
    codes = np.concatenate(
        [[[0.0, 0.0]], 0.02 * rng.normal(size=(8, 2)), [[0.5, 0.0]] + 0.02 * rng.normal(size=(8, 2))]
    )
    codes[0] = [0.25, 0.0]
    near = nearest(codes, codes, 16)
    assert len(np.unique(cluster_codes(codes, *near, 0.3, "single"))) == 1
    found = cluster_codes(codes, *near, 0.3, "average")
    assert found[1] != found[-1]


def test_groups_that_are_too_large_are_divided_first(
    points: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, entity = points
    monkeypatch.setattr(clusters, "LARGEST", 30)
    found = cluster_codes(codes, *nearest(codes, codes, 16), 2.0, "average")
    assert np.bincount(found).max() <= 30
    assert score_clusters(found, entity).recall > 0.99


def test_a_large_group_of_equal_codes_is_one_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "LARGEST", 10)
    codes = np.concatenate([np.zeros((20, 2)), np.ones((3, 2))])
    found = cluster_codes(codes, *nearest(codes, codes, 20), 0.5, "average")
    assert np.bincount(found).tolist() == [20, 3]


def test_scores_of_clusters_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for sizes in ((40, 5), (40, 40), (3, 60)):
        cluster, entity = (rng.integers(0, size, 200) for size in sizes)
        found = score_clusters(cluster, entity)
        (_, false), (missed, both) = pair_confusion_matrix(entity, cluster)
        assert found.precision == pytest.approx(both / (both + false))
        assert found.recall == pytest.approx(both / (both + missed))
        assert found.adjusted_rand == pytest.approx(adjusted_rand_score(entity, cluster))
        together = (cluster[:, None] == cluster) & (entity[:, None] == entity)
        assert found.b_cubed_precision == pytest.approx((together.sum(1) / (cluster[:, None] == cluster).sum(1)).mean())
        assert found.b_cubed_recall == pytest.approx((together.sum(1) / (entity[:, None] == entity).sum(1)).mean())
    perfect = score_clusters(np.arange(9), np.arange(9))
    assert (perfect.precision, perfect.recall, perfect.adjusted_rand, perfect.b_cubed_f1) == (1, 1, 1, 1)


def gain(distances: np.ndarray, limit: float) -> float:
    return float((limit**2 - distances**2).sum())


@pytest.mark.parametrize("limit", [0.1, 0.5, 3.0])
def test_an_assignment_is_optimal_and_one_to_one(limit: float) -> None:
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    distances, indices = nearest(queries, gallery, 40)
    chosen, assigned = assign(distances, indices, limit)
    pair = np.arange(60), chosen
    assert (distances[pair][assigned] < limit).all()
    assert len(np.unique(indices[pair][assigned])) == assigned.sum()
    assert (chosen[~assigned] == 0).all()
    gains = np.maximum(limit**2 - cdist(queries, gallery) ** 2, 0)
    best = gains[linear_sum_assignment(gains, maximize=True)].sum()
    assert gain(distances[pair][assigned], limit) == pytest.approx(best)


def test_a_large_group_takes_its_closest_pairs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    distances, indices = nearest(queries, gallery, 40)
    optimal = assign(distances, indices, 3.0)
    monkeypatch.setattr(assignment, "LARGEST", 10)
    chosen, assigned = assign(distances, indices, 3.0)
    pair = np.arange(60), chosen
    assert len(np.unique(indices[pair][assigned])) == assigned.sum() == 40
    closest = np.unravel_index(cdist(queries, gallery).argmin(), (60, 40))
    assert indices[closest[0], chosen[closest[0]]] == closest[1]
    at = np.arange(60), optimal[0]
    assert gain(distances[pair][assigned], 3.0) <= gain(distances[at][optimal[1]], 3.0)


def test_without_close_candidates_nothing_is_assigned() -> None:
    distances, indices = np.array([[1.0, np.inf], [2.0, 3.0]]), np.array([[0, -1], [0, 1]])
    for limit, expected in ((0.5, [False, False]), (1.5, [True, False])):
        chosen, assigned = assign(distances, indices, limit)
        assert assigned.tolist() == expected
        assert chosen.tolist() == [0, 0]
