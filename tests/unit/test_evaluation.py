"""Every metric against a naive loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from invlearn.evaluation.metrics import invariance, ranking
from invlearn.losses import functional


def random_pairs(seed: int, n: int = 30, replicas: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    z, z_prime = torch.randn(2, replicas, n, 3, dtype=torch.float64)
    distance = torch.rand(replicas, n, dtype=torch.float64)
    distance[:, ::2] = 0
    return z, z_prime, distance


@given(st.integers(0, 1000), st.floats(0.1, 3), st.floats(0.01, 3))
def test_invariance_loss_is_equation_2(seed: int, delta: float, alpha: float) -> None:
    z, z_prime, distance = random_pairs(seed, n=5)
    code = functional.code_distance(z, z_prime)
    losses = functional.invariance_loss(distance**2, code**2, delta, alpha)
    for r in range(2):
        for i in range(5):
            d_hat = math.dist(z[r, i].tolist(), z_prime[r, i].tolist())
            d = distance[r, i].item()
            expected = (1 / (delta + alpha * d**2) - 1 / (delta + alpha * d_hat**2)) ** 2
            assert losses[r, i].item() == pytest.approx(expected)


def test_mean_squared_error_is_a_mean_over_samples_and_features() -> None:
    a, b = torch.randn(2, 2, 4, 3)
    expected = [
        sum((a[r, i, k].item() - b[r, i, k].item()) ** 2 for i in range(4) for k in range(3)) / 12 for r in range(2)
    ]
    assert functional.mean_squared_error(a, b).tolist() == pytest.approx(expected)


@given(st.integers(0, 1000))
def test_invariance_ratio_and_auroc_by_counting(seed: int) -> None:
    z, z_prime, distance = random_pairs(seed)
    code = (functional.code_distance(z, z_prime) * 4).round()  # with ties
    same = distance == 0
    ratio, area = invariance.invariance_ratio(code, same), ranking.auroc(code, same)
    for r in range(2):
        near = [code[r, i].item() for i in range(30) if same[r, i]]
        far = [code[r, i].item() for i in range(30) if not same[r, i]]
        wins = sum((a < b) + 0.5 * (a == b) for a in near for b in far)
        assert area[r].item() == pytest.approx(wins / (len(near) * len(far)))
        expected = (sum(a * a for a in near) / len(near)) / (sum(b * b for b in far) / len(far))
        assert ratio[r].item() == pytest.approx(expected)


@given(st.integers(0, 1000))
def test_rank_correlation_is_that_of_scipy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    code, distance = (torch.randint(0, 8, (2, 30), generator=generator).double() for _ in range(2))  # with ties
    correlation = ranking.distance_spearman(code, distance)
    for r in range(2):
        different = distance[r] > 0
        expected = np.asarray(stats.spearmanr(code[r, different], distance[r, different]))[0]
        assert correlation[r].item() == pytest.approx(float(expected), abs=1e-12)


def test_perfect_and_useless_codes() -> None:
    distance = torch.tensor([[0.0, 1, 0, 2, 0, 3]])
    same = distance == 0
    assert ranking.auroc(distance, same).item() == 1
    assert invariance.invariance_ratio(distance, same).item() == 0
    assert ranking.distance_spearman(distance, distance).item() == pytest.approx(1)
    assert ranking.distance_spearman(torch.where(same, 0, 5 - distance), distance).item() == pytest.approx(-1)
    useless = torch.ones_like(distance)
    assert ranking.auroc(useless, same).item() == 0.5
    assert invariance.invariance_ratio(useless, same).item() == 1


def test_recall_counts_nearest_neighbours() -> None:
    torch.manual_seed(0)
    gallery = torch.randn(1, 40, 3)
    queries = gallery + 0.4 * torch.randn(1, 40, 3)
    hits = 0
    for i in range(40):
        distances = [math.dist(queries[0, i].tolist(), gallery[0, j].tolist()) for j in range(40)]
        hits += min(range(40), key=distances.__getitem__) == i
    assert 0 < hits < 40
    assert ranking.recall_at_1(queries, gallery).item() == pytest.approx(hits / 40)


def test_a_collapsed_code_recalls_nothing_and_is_named() -> None:
    codes = torch.zeros(1, 10, 3)
    assert ranking.recall_at_1(codes, codes).item() == 0
    distance = torch.tensor([[0.0, 1, 2, 3]])
    assert bool(invariance.collapsed(torch.full((1, 4), 1e-4), distance))
    assert not bool(invariance.collapsed(distance, distance))


def test_what_has_nothing_to_measure_is_nan() -> None:
    ones, yes = torch.ones(1, 4), torch.ones(1, 4, dtype=torch.bool)
    assert ranking.auroc(ones, yes).isnan().all()
    assert invariance.invariance_ratio(ones, yes).isnan().all()
    assert invariance.invariance_ratio(0 * ones, torch.tensor([[True, True, False, False]])).isnan().all()
    assert ranking.distance_spearman(ones, 0 * ones).isnan().all()
    assert ranking.distance_spearman(ones, torch.rand(1, 4) + 1).isnan().all()
    assert ranking.recall_at_1(torch.ones(1, 1, 2), torch.ones(1, 1, 2)).isnan().all()


def test_no_constant_beats_the_mean_closeness() -> None:
    torch.manual_seed(1)
    distance = torch.rand(1, 500) * 3
    distance[:, ::2] = 0
    closeness = functional.closeness(distance**2, 0.5, 2.0)
    best = (closeness - closeness.mean()).square().mean().item()
    for constant in torch.linspace(0, 5, 300).tolist():
        others = functional.invariance_loss(distance**2, torch.full_like(distance, constant) ** 2, 0.5, 2.0)
        assert best <= others.mean().item() + 1e-7
