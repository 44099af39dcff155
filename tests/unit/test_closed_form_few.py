"""Closed forms of few entities, and of few samples in many pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from invlearn.closed_form import Polynomial, fit, observe, stacked
from invlearn.closed_form.eigen import shrunk
from invlearn.closed_form.score import Scorer
from invlearn.data import Pairs, Split
from invlearn.data.indexed import IndexedPairs
from invlearn.data.seeding import seeded_generator
from tests.support.training import CPU, entity_samples

DIM = 12

SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def voices(entities: int, samples: int, seed: int) -> Tensor:
    """Points that six hidden directions move far, and noise a little."""
    generator = seeded_generator(seed, "voices")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    moving = torch.randn(6, DIM, generator=seeded_generator(0, "moving"), dtype=torch.float64) * 1.5
    x = normal(entities, 1, DIM) + normal(entities, samples, 6) @ moving
    return x + 0.35 * normal(entities, samples, DIM)


def test_few_entities_show_what_does_not_vary_within_them() -> None:
    parts = torch.arange(20).split([4, 8, 8])  # four entities differ in three directions
    dataset = replace(entity_samples(voices(20, 40, 0)), splits=dict(zip(SPLITS, parts, strict=True)))
    settings = Polynomial(degree=1, components=DIM, ridge=0.0, normalize="none", refit=0)
    network = stacked(settings, [fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)])
    query, gallery = voices(200, 2, 1).unbind(1)
    z, z_gallery = (network.requires_grad_(False).encode(part[None])[0] for part in (query, gallery))
    found = torch.cdist(z, z_gallery).argmin(1) == torch.arange(len(query))
    assert float(found.double().mean()) > 0.4  # 0.19 without shrinkage


def test_shrinkage_goes_as_entities_come() -> None:
    within = torch.eye(4, dtype=torch.float64)
    covariance = within + torch.diag(torch.tensor([4.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    unit = torch.ones(4, dtype=torch.float64)
    assert torch.equal(shrunk(within, covariance, unit, 8), covariance)
    between = [(shrunk(within, covariance, unit, count) - within).diagonal() for count in (2, 4, 6)]
    for one in between:
        assert float(one.sum()) == pytest.approx(4)
        assert bool((one > 0).all())
    assert between[0][0] < between[1][0] < between[2][0] < 4


@pytest.mark.parametrize("distinct", [20, 400])
def test_pairs_are_the_same_however_their_samples_are_kept(distinct: int) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(distinct, 5, generator=generator, dtype=torch.float64)
    rows = torch.randint(distinct, (2, 100), generator=generator)
    x, x_prime = samples[rows[0]], samples[rows[1]]
    indexed = IndexedPairs.of(x, x_prime)
    assert len(indexed.samples) == len(rows.unique()) if distinct == 20 else 200
    assert torch.equal(indexed.samples[indexed.first], x)
    assert torch.equal(indexed.samples[indexed.second], x_prime)
    vectors = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(indexed.differences(indexed.samples, vectors), (x - x_prime) @ vectors)


@pytest.mark.parametrize("given", [False, True])
def test_repeated_pairs_count_as_often_as_they_are_drawn(given: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    first, second = torch.randint(6, (2, 300), generator=generator)
    of_entities = torch.rand(3, 3, generator=generator, dtype=torch.float64) + 1
    distance = torch.where(first % 3 == second % 3, 0.0, (of_entities + of_entities.T)[first % 3, second % 3])
    pairs = Pairs(samples[first], samples[second], distance)
    apart = Pairs(pairs.x + 1e-9 * torch.arange(300)[:, None], pairs.x_prime, distance)  # all pairs are distinct
    scores = []
    for each in (pairs, apart):
        scorer = Scorer(each, given=given)
        squared = (scorer.pairs.x - scorer.pairs.x_prime).square().cumsum(1).T + 1e-3
        scores.append(scorer.scores(squared))
        assert len(scorer.same) == (36 - 15 if each is pairs else 300)
        assert float(scorer.counts.sum()) == 300
        same = scorer.only(scorer.same)
        assert float(same.counts.sum()) == int((distance == 0).sum())
    torch.testing.assert_close(*scores, rtol=1e-6, atol=0)


def test_equal_pairs_at_two_distances_stay_apart() -> None:
    x = torch.zeros(8, 2)
    pairs = Pairs(x, x + 1, torch.tensor([0.0, 1.0] * 4))
    assert len(Scorer(pairs, given=False).same) == 8
