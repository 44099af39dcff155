"""Samples of entities and given pairs: what is drawn from them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import Draws, EntitySamples, LabelledPairs, Pairs, Split, first_pairs
from invlearn.data.distances import observed_distance
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn
from tests.support.errors import naming
from tests.support.own_data import entity_table, write


def samples_of(counts: list[int], **settings: Any) -> EntitySamples:
    """Entity e has ``counts[e]`` samples; a sample's first feature is its entity."""
    entity = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = torch.randperm(len(entity), generator=torch.Generator().manual_seed(0))
    samples = torch.stack([entity.double(), torch.arange(len(entity)).double() / 100], dim=1)
    everything = torch.arange(len(counts))
    splits: dict[Split, torch.Tensor] = {"train": everything, "valid": everything, "test": everything}
    sizes = {"samples_per_entity": 4, "size": 20_000, "valid_size": 10_000, "test_size": 10_000}
    settings = {"distance": "binary", "seed": 0, **sizes, **settings}
    return EntitySamples(samples=samples[order], entity=entity[order], splits=splits, **settings)


@given(counts=st.lists(st.integers(1, 9), min_size=2, max_size=9), seed=st.integers(0, 99), most=st.integers(4, 30))
def test_samples_are_labelled_with_their_entities(counts: list[int], seed: int, most: int) -> None:
    data = samples_of(counts, samples_per_entity=5)
    x, entity = data.labelled("valid", seed, most=most)
    assert torch.equal(x[:, 0].long(), entity)
    assert len(x) <= most
    assert len(x[:, 1].unique()) == len(x)  # none twice
    chosen = entity.unique()
    assert len(chosen) >= 2
    most_of_one = min(data.samples_per_entity, max(2, *counts), most // 2)
    assert entity.bincount()[chosen].tolist() == [min(counts[e], most_of_one) for e in chosen.tolist()]
    if sum(min(count, most_of_one) for count in counts) <= most:
        assert len(chosen) == len(counts)


@pytest.mark.parametrize("distance", ["binary", "observed"])
@pytest.mark.parametrize("most", [1, 2, 7, 59, 60, 61])
def test_the_first_pairs_are_those_of_all(distance: str, most: int) -> None:
    data = samples_of([3, 1, 4, 2], size=60, distance=distance)
    whole, some = data.pairs("train", 5), first_pairs(data, "train", 5, most)
    for part, of_some in zip(whole, some, strict=True):
        assert torch.equal(part[:most], of_some)


def test_statistics_are_of_fewer_pairs_where_samples_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = samples_of([3, 4, 2], size=60)
    splits: dict[Split, torch.Tensor] = {"train": torch.arange(60)}
    given = LabelledPairs(given=data.pairs("train", 0), splits=splits, entity=torch.arange(60), size=60, seed=0)
    for most, count in ((2**24, 60), (40, 20)):
        monkeypatch.setattr("invlearn.data.draws.STATISTICS", most)
        assert Draws(data, [0], torch.float64).training_pairs().distance.shape == (1, count)
        assert Draws(given, [0], torch.float64).training_pairs().distance.shape == (1, 60)


def test_labelled_samples_are_drawn() -> None:
    data = samples_of([50] * 4)
    draws = [data.labelled("valid", seed, most=16)[0][:, 1] for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=9), seed=st.integers(0, 99), n=st.integers(2, 60))
def test_pairs_are_of_one_entity_and_of_two_in_turn(counts: list[int], seed: int, n: int) -> None:
    data = samples_of(counts, size=n, distance="observed")
    x, x_prime, distance = data.pairs("train", seed)
    assert x.shape == (n, 2)
    same = x[:, 0] == x_prime[:, 0]
    assert torch.equal(same, torch.arange(n) % 2 == 0)
    assert torch.equal(distance == 0, same)
    if max(counts) > 1:
        assert bool((x[same, 1] != x_prime[same, 1]).all())  # two samples, not one twice
    for one, other, d in zip(x[~same, 0], x_prime[~same, 0], distance[~same], strict=True):
        of_both = [data.samples[data.samples[:, 0] == entity] for entity in (one, other)]
        naive = [torch.linalg.vector_norm(a - b) for a, b in itertools.product(*of_both)]
        assert d >= min(naive) - 1e-12
        if max(counts) <= data.samples_per_entity:  # all of their samples are looked at
            assert d == pytest.approx(float(min(naive)))


def test_every_entity_and_sample_gets_its_turn() -> None:
    data = samples_of([2, 3, 5, 40], size=2_000, samples_per_entity=3)
    x, x_prime, _ = data.pairs("train", 0)
    of_same = x[0::2, 0].long().bincount()
    assert of_same.tolist() == [250] * 4
    seen = torch.cat([x, x_prime])[:, 1].unique()
    assert len(seen) == 50
    # Of an entity with 40 samples each comes first about as often as any other.
    first = x[0::2][x[0::2, 0] == 3][:, 1].unique(return_counts=True)[1]
    assert len(first) == 40
    assert int(first.max()) <= 20


def test_groups_hold_different_samples_of_an_entity() -> None:
    data = samples_of([2, 4, 7], size=240, samples_per_entity=4, distance="observed")
    x, entity, reference = data.entities("train", 0)
    assert x.shape == (30, 4, 2)
    assert torch.equal(x[..., 0], entity[:, None].expand(-1, 4).double())
    assert torch.equal(reference, x)
    for group, of in zip(x[..., 1], entity, strict=True):
        assert len(group.unique()) == min(4, [2, 4, 7][int(of)])
    assert samples_of([2, 4], distance="binary", size=32).entities("train", 0).reference.shape[-1] == 0
    assert samples_of([1, 1]).entities("train", 0).x.shape[1] == 2  # a pair of each needs two, be it one twice


def test_draws_depend_on_the_seed_alone() -> None:
    data = samples_of([3] * 8, size=50)
    again = samples_of([3] * 8, size=50)
    for ours, theirs in zip(data.pairs("train", 5), again.pairs("train", 5), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(data.pairs("train", 5).x, data.pairs("train", 6).x)


def test_examples_are_drawn_where_the_samples_are() -> None:
    """No GPU is needed to see that nothing is left on the CPU: the meta device has shapes alone."""
    data = samples_of([3] * 8, size=50).on("meta")
    for part in (*data.pairs("train", 0), *data.entities("train", 0), *data.query_and_gallery(0)):
        assert part.is_meta
    assert data.pairs("train", 0).x.shape == (50, 2)


def test_different_entities_are_never_at_distance_0() -> None:
    assert observed_distance(torch.zeros(1, 2, 3), torch.zeros(1, 1, 3)).item() > 0


def test_recall_is_over_two_samples_of_each_test_entity() -> None:
    query, gallery = samples_of([1, 2, 3, 5]).query_and_gallery(0)
    assert torch.equal(query[:, 0], gallery[:, 0])
    assert sorted(query[:, 0].tolist()) == [1, 2, 3]
    assert bool((query[:, 1] != gallery[:, 1]).all())


def test_given_pairs_are_taken_as_they_are_and_all_before_any_again() -> None:
    x = torch.arange(10.0)[:, None]
    pairs = Pairs(x, x + 0.5, torch.tensor([0.0, 1.0]).repeat(5))
    rows = torch.arange(10)
    data = LabelledPairs(
        given=pairs, splits={"train": rows[:6], "valid": rows[6:8], "test": rows[8:]}, entity=rows, size=15, seed=0
    )
    drawn = data.pairs("train", 3)
    assert drawn.x[:6, 0].sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    assert drawn.x[6:12, 0].sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(drawn.x_prime, drawn.x + 0.5)
    assert data.pairs("test", 3).x[:, 0].tolist() == [8, 9]
    assert [part[:, 0].tolist() for part in data.query_and_gallery(0)] == [[8], [8.5]]
    with pytest.raises(ValueError, match=naming(also=["train", "different"])):
        LabelledPairs(given=pairs, splits={"train": rows[::2]}, entity=rows, size=15, seed=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same_examples_and_trains_on_them(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "own.csv")
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        "dataset.size=2560",
        "dtype=float64",
    ]
    experiment = Experiment.from_config(as_plain(compose([*words, "trainer.epochs=2", "replicas=2"])))
    for epoch in (0, 1):
        draws = [experiment.draws(device).training(experiment.loss.sampler)(epoch) for device in ("cpu", "cuda")]
        for ours, theirs in zip(*draws, strict=True):
            assert torch.equal(ours, theirs.cpu())
    states = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        states.append(learn(experiment, device))
    ours, theirs = (state.model.state_dict() for state in states)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name].cpu(), value, rtol=1e-6, atol=1e-9)
