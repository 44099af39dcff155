"""Invariants in closed form: the algebra, and what comes out of it on data whose invariants are known."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Literal

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from invlearn.closed_form import (
    Candidate,
    Monomials,
    Observed,
    Polynomial,
    Solved,
    SolvedNetwork,
    eigen,
    find_start,
    fit,
    observe,
    searches,
    stacked,
)
from invlearn.closed_form import concentrate as concentrating
from invlearn.closed_form.candidates import lifts_of
from invlearn.closed_form.eigen import Eigenproblem
from invlearn.closed_form.frames import find_frame, nearest_invariant
from invlearn.closed_form.moments import Moments, moments
from invlearn.closed_form.principal import principal_components
from invlearn.closed_form.score import log_loss
from invlearn.data import EntitySamples, LabelledPairs, Pairs, PermutationCycle, Shift
from invlearn.data.seeding import seeded_generator
from invlearn.errors import UserError
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn
from tests.support.errors import naming
from tests.support.training import CPU, entity_samples, experiment_of

SMALL = ["model=polynomial", "dtype=float64", "dataset.size=4000", "dataset.valid_size=2000", "dataset.test_size=2000"]


def hidden_cycle(entities: int, samples: int, *, noise: float, dim: int = 12, mixing: bool = False) -> EntitySamples:
    """Circularly shifted signals with noise, perhaps behind a random mixing; a fifth each to validate and test."""
    generator = seeded_generator(0, "hidden cycle")
    signals = torch.rand(entities, dim, generator=generator, dtype=torch.float64) * 2 - 1
    shifts = torch.randint(dim, (entities, samples), generator=generator)
    x = signals[:, None].expand(-1, samples, -1).gather(2, (torch.arange(dim) - shifts[..., None]) % dim).flatten(0, 1)
    x = x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    if mixing:
        x = x @ torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return entity_samples((x / x.std()).view(entities, samples, dim))


def fitted(dataset, seed: int = 0, **settings) -> Solved:
    return fit(Polynomial(**settings), observe(dataset, seed, CPU), dataset.pairs("valid", seed), seed)


def code_distances(solved: Solved, pairs: Pairs) -> Tensor:
    encode = stacked(Polynomial(), [solved]).requires_grad_(False).encode
    return torch.linalg.vector_norm(encode(pairs.x[None].double()) - encode(pairs.x_prime[None].double()), dim=-1)[0]


@pytest.mark.parametrize(("rank", "degree"), [(1, 1), (4, 2), (3, 3), (5, 3)])
def test_monomials_are_all_products_of_so_many_variables(rank: int, degree: int) -> None:
    x = torch.rand(7, rank, dtype=torch.float64)
    products = [
        x[:, list(indices)].prod(1)
        for power in range(1, degree + 1)
        for indices in itertools.combinations_with_replacement(range(rank), power)
    ]
    lift = Monomials(rank, degree)
    torch.testing.assert_close(lift(x), torch.stack(products, dim=1))
    assert lift.features == len(products)


def test_smaller_lifts_are_found_in_larger_ones() -> None:
    x = torch.rand(7, 5, dtype=torch.float64)
    for rank, degree in itertools.product(range(1, 6), range(1, 4)):
        torch.testing.assert_close(
            Monomials(5, 3)(x)[:, Monomials(5, 3).within(rank, degree)], Monomials(rank, degree)(x[:, :rank])
        )


def test_moments_are_covariances_and_parts_add_up() -> None:
    generator = torch.Generator().manual_seed(0)
    phi = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    entity = torch.tensor([0] * 5 + [1] + [2] * 20 + [3] * 24)
    whole = moments([(phi, entity)], 3)
    one, other = moments([(phi[:26], entity[:26])], 3), moments([(phi[26:], entity[26:])], 3)
    within, covariance = whole.covariances()
    scatter = sum(np.cov(phi[entity == e].T, bias=True) * int((entity == e).sum()) for e in (0, 2, 3))
    np.testing.assert_allclose(within, scatter / (4 + 19 + 23))
    np.testing.assert_allclose(covariance, np.cov(phi.T, bias=True))
    for field in fields(Moments):
        sums = [getattr(part, field.name) for part in (whole, one, other)]
        np.testing.assert_allclose(sums[0], sums[1] + sums[2], atol=1e-12)


@pytest.mark.parametrize("definite", [True, False])
def test_a_few_directions_are_the_first_of_all(definite: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(60, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    if not definite:
        a[:, 7], b[:, 7] = a[:, 0], b[:, 0]
    within, covariance = a.T @ a, a.T @ a + b.T @ b
    problem = Eigenproblem(within, covariance, a.mean(0), torch.ones(8))
    every, few = problem.solve(0.1), problem.solve(0.1, 3)
    torch.testing.assert_close(few.within, every.within[:3])
    torch.testing.assert_close(few.vectors, every.vectors[:, :3])
    assert every.vectors.shape == (8, 8 if definite else 7)
    if definite:
        ridge = 0.1 * within.diagonal().mean() * torch.eye(8)
        shares = scipy.linalg.eigvalsh((within + ridge).numpy(), covariance.numpy())
        np.testing.assert_allclose(few.within, shares[:3], rtol=1e-8)


def test_components_of_large_matrices_are_nearly_those_of_all(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = 0.7 ** torch.arange(60, dtype=torch.float64)
    x = torch.randn(90, 60, generator=generator, dtype=torch.float64) * sizes
    axes, variances = principal_components(x, 8, 0)
    assert axes.shape[1] > 8
    monkeypatch.setattr("invlearn.closed_form.principal.WIDE", 50)
    state = torch.random.get_rng_state()
    few, of_few = principal_components(x, 8, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(of_few, variances[:8], rtol=1e-6, atol=0)
    torch.testing.assert_close((few.T @ axes[:, :8]).abs(), torch.eye(8).double(), atol=1e-4, rtol=0)
    assert torch.equal(principal_components(x, 8, 0)[0], few)


def test_directions_have_variance_one_and_their_share_within_entities() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(40, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    within, covariance = a.T @ a, a.T @ a + b.T @ b
    vectors, shares = Eigenproblem(within, covariance, a.mean(0), torch.ones(6)).solve()
    torch.testing.assert_close(vectors.T @ covariance @ vectors, torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(vectors.T @ within @ vectors, torch.diag(shares))


def test_constant_directions_are_not_taken_for_invariants() -> None:
    covariance = torch.diag(torch.tensor([1.0, 1.0, 0.0, 1e-14], dtype=torch.float64))
    covariance[0, 1] = covariance[1, 0] = 1 - 1e-14
    solution = Eigenproblem(0.5 * covariance, covariance, covariance[0], torch.ones(4)).solve()
    torch.testing.assert_close(solution.within, torch.full_like(solution.within, 0.5))


@pytest.mark.parametrize("repeated", [False, True])
def test_the_directions_of_few_samples_are_those_of_a_full_decomposition(repeated: bool, monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(12, 60, generator=generator, dtype=torch.float64) for _ in range(2))
    a[:, 30:] *= 1e-3
    if repeated:
        a[:, 40:], b[:, 40:] = a[:, :20], b[:, :20]
    within, covariance = a.T @ a, a.T @ a + b.T @ b
    problem = within, covariance, a.mean(0), torch.ones(60, dtype=torch.float64)
    assert eigen._root(covariance) is not None
    solutions = {name: Eigenproblem(*problem).solve(ridge) for name, ridge in (("exact", 0.0), ("ridge", 0.1))}
    monkeypatch.setattr(eigen, "_root", lambda covariance: None)
    for name, ridge in (("exact", 0.0), ("ridge", 0.1)):
        expected = Eigenproblem(*problem).solve(ridge)
        assert solutions[name].vectors.shape == expected.vectors.shape == (60, 24)
        torch.testing.assert_close(solutions[name].within, expected.within, rtol=1e-8, atol=1e-10)
    found, expected = solutions["ridge"].vectors, expected.vectors  # without a ridge, twelve shares are 0
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_the_ridge_does_not_see_the_scale_of_whitened_features() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(40, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    within, covariance = a.T @ a, a.T @ a + b.T @ b
    factor = torch.tensor([1e-3, 0.1, 1.0, 2.0, 10.0, 1e3], dtype=torch.float64)
    by = factor[:, None] * factor
    unit = torch.ones(6, dtype=torch.float64)
    natural = Eigenproblem(within, covariance, a.mean(0), unit).solve(0.3)
    scaled = Eigenproblem(within / by, covariance / by, a.mean(0) / factor, factor.square()).solve(0.3)
    torch.testing.assert_close(scaled.within, Eigenproblem(within, covariance, a.mean(0), unit).solve(0.3).within)
    torch.testing.assert_close((scaled.vectors / factor[:, None]).abs(), natural.vectors.abs())


def test_the_score_is_a_proper_one() -> None:
    generator = torch.Generator().manual_seed(0)
    same = torch.arange(2_000) % 2 == 0
    noise = torch.randn(2_000, generator=generator, dtype=torch.float64)
    apart = torch.where(same, -1.0, 1.0)
    squared = torch.stack([(noise + size * apart).exp() for size in (0.0, 0.5, 1.0, 2.0, 30.0)])
    once = torch.ones(2_000, dtype=torch.float64)
    scores = log_loss(squared, same, once)
    assert scores[0] == pytest.approx(1, abs=0.02)
    assert bool((scores.diff() < 0).all())
    assert scores[-1] == pytest.approx(0, abs=1e-3)
    torch.testing.assert_close(log_loss(squared * 1e-30, same, once), scores)


def test_the_nearest_invariant_form_is_the_mean_over_the_group() -> None:
    x, x_prime, _ = Shift(dim=6, size=2_000).pairs("train", 0)
    x, x_prime = x[0::2], x_prime[0::2]
    form = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    form = form + form.T
    mean = torch.stack([form.roll((s, s), (0, 1)) for s in range(6)]).mean(0)
    nearest = nearest_invariant(form, x, x_prime)
    torch.testing.assert_close(nearest, mean, rtol=1e-4, atol=1e-4)  # corrections have single precision
    torch.testing.assert_close(nearest.roll((1, 1), (0, 1)), nearest, rtol=0, atol=1e-12)


def test_a_hidden_cycle_shows_its_planes() -> None:
    x, x_prime, _ = PermutationCycle(dim=12, size=4_000).pairs("train", 0)
    frame = find_frame(x[0::2], x_prime[0::2], torch.Generator().manual_seed(0))
    assert sorted(part.shape[1] for part in frame.parts) == [1, 1, 2, 2, 2, 2, 2]
    assert not frame.alike


def test_samples_with_noise_have_no_frame() -> None:
    observed = observe(hidden_cycle(100, 3, noise=0.05), 0, CPU)
    assert not find_frame(*observed.same_pairs(1_000)[:2], torch.Generator().manual_seed(0)).parts


@pytest.mark.parametrize("dataset", ["shift", "permcycle", "twopart", "shiftscale"])
def test_the_papers_problems_are_solved_to_rounding(dataset: str) -> None:
    experiment = experiment_of(*SMALL, f"dataset={dataset}", "replicas=2")
    state = learn(experiment, CPU)
    pairs = experiment.draws(CPU).examples(experiment.loss.sampler, "test")
    assert isinstance(pairs, Pairs)
    codes = [state.encoder.invariant_part(state.encoder.network.encode(part)) for part in (pairs.x, pairs.x_prime)]
    distance = torch.linalg.vector_norm(codes[0] - codes[1], dim=-1)
    torch.testing.assert_close(distance, pairs.distance, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mixing", [False, True])
def test_unseen_entities_are_found_among_noise(mixing: bool) -> None:
    dataset = hidden_cycle(500, 4, noise=0.02, mixing=mixing)
    solved = fitted(dataset)
    assert solved.best.degree != 1
    pairs = dataset.pairs("test", 0)
    distance, same = code_distances(solved, pairs), pairs.distance == 0
    assert float(distance[same].square().mean() / distance[~same].square().mean()) < 0.05
    assert float(distance[~same].square().mean()) == pytest.approx(1, rel=0.2)  # the unit of d*
    assert solved.best.valid_loss < 0.01


def turned_planes(*, noise: float, entities: int = 300) -> tuple[Observed, Pairs, Tensor]:
    """Samples whose three planes, behind a rotation of the space, are turned at random; the rotation's columns."""
    generator = seeded_generator(0, "planes")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hidden, _ = torch.linalg.qr(normal(6, 6))
    signals, turns = normal(entities, 1, 3, 2), torch.rand(entities, 4, 3, generator=generator).double() * 2 * torch.pi
    cos, sin = turns.cos(), turns.sin()
    turned = torch.stack([signals[..., 0] * cos - signals[..., 1] * sin, signals[..., 0] * sin + signals[..., 1] * cos])
    x = turned.permute(1, 2, 3, 0).flatten(2) @ hidden.T + noise * normal(entities, 4, 6)
    dataset = entity_samples(x)
    return observe(dataset, 0, CPU), dataset.pairs("valid", 0), hidden


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_start_is_in_the_planes_that_are_turned(noise: float) -> None:
    observed, valid, hidden = turned_planes(noise=noise)
    planes = find_start(observed, valid, 0).planes[:3]
    lengths = torch.linalg.vector_norm(observed.x @ planes.mT, dim=-1)
    torch.testing.assert_close(lengths.square().mean(1), torch.ones(3).double(), rtol=0.05, atol=0)
    for true in hidden.split(2, dim=1):
        inside = (planes @ true).square().sum((1, 2)) / planes.square().sum((1, 2))
        assert float(inside.max()) == pytest.approx(1, abs=max(1e-9, 0.3 * noise))


def test_the_lengths_of_a_start_give_the_distances() -> None:
    dataset = Shift(dim=8, size=4_000)
    start = find_start(observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    x, x_prime, distance = (part.double() for part in dataset.pairs("test", 0))
    lengths, others = (torch.linalg.vector_norm(part @ start.planes.mT, dim=-1) for part in (x, x_prime))
    assert start.weights is not None
    torch.testing.assert_close((start.weights @ (lengths - others).square()).sqrt(), distance, rtol=0, atol=1e-6)


def test_noisy_lengths_tell_more_than_squares() -> None:
    dataset = hidden_cycle(150, 4, noise=0.1)
    assert fitted(dataset, refit=0).frame
    by = {degree: fitted(dataset, degree=degree, refit=0).best.valid_loss for degree in ("auto", 3)}
    assert by["auto"] < by[3]


@pytest.mark.parametrize(("degree", "degrees"), [("auto", [1, 2]), (3, [3])])
def test_a_rank_that_is_given_leaves_out_degrees_that_no_machine_holds(
    degree: Literal["auto", 3], degrees: list[int]
) -> None:
    sizes = lifts_of(Polynomial(degree=degree, rank=96), 784)
    assert [(size.degree, size.rank) for size in sizes] == [(each, 96) for each in degrees]


def test_linear_lifts_do_where_the_distortion_is_added() -> None:
    generator = seeded_generator(0, "batches")
    signals = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    offsets = torch.randn(200, 3, 1, generator=generator, dtype=torch.float64) * torch.ones(6, dtype=torch.float64)
    dataset = entity_samples(signals[:, None] + offsets)
    assert fitted(dataset, normalize="none").best[:2] == (1, 6)


def test_samples_with_a_wrong_label_are_left_out() -> None:
    dataset = hidden_cycle(400, 4, noise=0.02)
    wrong = torch.arange(0, len(dataset.entity), 10)
    labels = dataset.entity.clone()
    labels[wrong] = labels[wrong.roll(1)]
    mislabelled = replace(dataset, entity=labels)
    pairs = dataset.pairs("test", 0)
    ratios = []
    for refit in (0, 8):
        distance, same = code_distances(fitted(mislabelled, refit=refit, degree=2), pairs), pairs.distance == 0
        ratios.append(float(distance[same].square().mean() / distance[~same].square().mean()))
    assert ratios[1] < 0.5 * ratios[0]


def test_many_wrong_labels_are_left_out_by_concentration() -> None:
    dataset = hidden_cycle(300, 4, noise=0.05)
    generator = seeded_generator(0, "wrong labels")
    wrong = (torch.rand(len(dataset.entity), generator=generator) < 0.3).nonzero()[:, 0]
    labels = dataset.entity.clone()
    labels[wrong] = labels[wrong[torch.randperm(len(wrong), generator=generator)]]
    mislabelled = replace(dataset, entity=labels)
    pairs = dataset.pairs("test", 0)
    recalled = []
    for refit in (0, 8):
        solved = fitted(mislabelled, refit=refit, degree=2)
        distance, same = code_distances(solved, pairs), pairs.distance == 0
        recalled.append(float((distance[same] < distance[~same].quantile(0.01)).double().mean()))
        assert bool(solved.left_out) == bool(refit)
    assert recalled[1] > max(0.9, recalled[0] + 0.1)


@pytest.mark.parametrize("noise", [0.15, 0.3])
def test_noise_alone_is_not_taken_for_wrong_labels(monkeypatch, noise: float) -> None:
    dataset = hidden_cycle(150, 4, noise=noise)
    solved = fitted(dataset, degree=2)
    assert solved.best.valid_loss > concentrating.DOUBTFUL
    monkeypatch.setattr(concentrating, "DOUBTFUL", 1.0)
    before = fitted(dataset, degree=2)
    assert solved.candidates == before.candidates
    assert torch.equal(solved.weight, before.weight)


@pytest.mark.parametrize(("loss", "many"), [(1e-4, False), (0.05, False), (0.5, True)])
def test_the_time_of_a_search_for_wrong_labels_is_foreseen(loss: float, many: bool) -> None:
    """Where codes tell entities apart, there is none; nor where the user wants none."""
    data = hidden_cycle(100, 4, noise=0.05)
    observed = observe(data, 0, CPU)
    best = Candidate(2, 12, 0.0, 0.0, 0.0, 0.0, 8, loss)
    few, most = searches(Polynomial(), best, observed)
    assert (few > 1) == (loss > 0.01)
    assert (most > 2 * few) == many
    assert searches(Polynomial(refit=0), best, observed) == (1, 1)


def test_what_is_given_is_not_searched() -> None:
    dataset = hidden_cycle(120, 3, noise=0.05)
    solved = fitted(dataset, degree=2, rank=8, ridge=0.3, components=5, normalize="sphere", refit=0)
    squares, lengths = solved.candidates
    assert squares[:7] == (2, 8, 0.0, 1.0, 0.0, 0.3, 5)
    assert lengths[:6] == (0, 8, 0.0, 1.0, 0.0, 0.3)
    assert lengths.components <= 5  # there may be fewer planes


def test_given_pairs_are_learned_from() -> None:
    pairs = Shift(dim=8, size=6_000).pairs("train", 0)
    thirds = torch.arange(6_000).chunk(3)
    dataset = LabelledPairs(
        given=pairs,
        splits=dict(zip(("train", "valid", "test"), thirds, strict=True)),
        entity=torch.arange(6_000),
        size=2_000,
        seed=0,
    )
    distance = code_distances(fitted(dataset), dataset.pairs("test", 0))
    torch.testing.assert_close(distance, dataset.pairs("test", 0).distance, rtol=0, atol=1e-9)


def test_replicas_of_different_shapes_make_one_stack() -> None:
    dataset = hidden_cycle(120, 3, noise=0.05)
    exact = fitted(hidden_cycle(60, 3, noise=0.0))
    given = [{"degree": 1}, {"degree": 3, "rank": 5}, {"degree": 2, "rank": 7, "normalize": "sphere"}]
    solved = [exact, *(fitted(dataset, **settings) for settings in given)]
    x = torch.rand(1, 9, 12, dtype=torch.float64)
    together = stacked(Polynomial(), solved)
    codes = together.encode(x.expand(4, -1, -1))
    for replica, one in enumerate(solved):
        alone = stacked(Polynomial(), [one]).encode(x)[0]
        torch.testing.assert_close(codes[replica, :, : alone.shape[1]], alone)
        assert not codes[replica, :, alone.shape[1] :].any()
    like = SolvedNetwork.like(Polynomial(), together.state_dict())
    assert {name: value.shape for name, value in like.state_dict().items()} == {
        name: value.shape for name, value in together.state_dict().items()
    }
    like.load_state_dict(together.state_dict(), assign=True)
    torch.testing.assert_close(like.encode(x.expand(4, -1, -1)), codes)


@pytest.mark.parametrize("name", ["mean", "components", "lengths.frame", "weight"])
def test_parameters_of_other_shapes_are_refused(name: str) -> None:
    parameters = dict(stacked(Polynomial(), [fitted(hidden_cycle(60, 3, noise=0.0))]).state_dict())
    with pytest.raises(ValueError, match="parameters"):
        SolvedNetwork.like(Polynomial(), {**parameters, f"encoder.{name}": torch.zeros(3)})
    del parameters[f"encoder.{name}"]
    with pytest.raises(KeyError, match=name):
        SolvedNetwork.like(Polynomial(), parameters)


def test_samples_that_are_all_equal_are_refused() -> None:
    with pytest.raises(UserError, match=naming(key="model")):
        fitted(entity_samples(torch.ones(10, 2, 4, dtype=torch.float64)))


def orbits(entities: int, samples: int, dim: int, noise: float = 0.0) -> Tensor:
    """Signals in different circular shifts, ``(entities, samples, dim)``."""
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(entities, dim, generator=generator, dtype=torch.float64)
    x = torch.stack([signals.roll(shift, 1) for shift in range(samples)], dim=1)
    return x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("x", "ratio"),
    [
        pytest.param(orbits(10, 4, 6), None, id="six entities to learn from"),
        pytest.param(orbits(30, 2, 200), None, id="more features than samples"),
        pytest.param(orbits(12, 2, 5_000, 0.01), None, id="thousands of features, a dozen samples"),
        pytest.param(orbits(60, 1, 6), None, id="one sample of each entity"),
        pytest.param(orbits(60, 4, 6), 1e-12, id="no noise"),
        pytest.param(orbits(60, 4, 6).repeat(1, 1, 2), 1e-12, id="every feature twice"),
        pytest.param(torch.cat([orbits(60, 4, 6), torch.ones(60, 4, 2)], dim=2), 1e-12, id="constant features"),
        pytest.param(1e-30 * orbits(60, 4, 6), 1e-12, id="tiny"),
        pytest.param(1e30 * orbits(60, 4, 6), 1e-12, id="huge"),
        pytest.param(orbits(60, 1, 6).repeat(1, 4, 1), 1e-12, id="no distortion"),
        pytest.param(orbits(240, 1, 6).view(60, 4, 6), None, id="nothing in common"),
        pytest.param(orbits(60, 4, 1), 1e-12, id="one feature"),
    ],
)
def test_odd_samples_have_finite_codes(x: Tensor, ratio: float | None) -> None:
    dataset = entity_samples(x)
    pairs = dataset.pairs("test", 0)
    distance = code_distances(fitted(dataset), pairs)
    assert bool(torch.isfinite(distance).all())
    if ratio is not None:
        squared, same = distance.square(), pairs.distance == 0
        assert float(squared[same].mean() / squared[~same].mean()) < ratio


@pytest.mark.parametrize(
    ("settings", "key"), [({"components": 0}, "components"), ({"rank": 0}, "rank"), ({"ridge": -1.0}, "ridge")]
)
def test_settings_out_of_range_are_refused(settings: dict, key: str) -> None:
    with pytest.raises(ValueError, match=naming(key=key)):
        Polynomial(**settings)


@pytest.mark.parametrize("override", ["loss=pairwise", "optimizer=adam", "trainer=default", "+trainer.epochs=3"])
def test_what_a_closed_form_does_not_read_is_refused(override: str) -> None:
    with pytest.raises(UserError, match=naming(also=["closed form", override.lstrip("+").partition("=")[0]])):
        experiment_of("model=polynomial", override)


def test_candidates_are_columns_of_metrics_csv() -> None:
    from invlearn.runs.checkpoint import check_history

    check_history({name: [[1.0]] for name in Candidate._fields}, 1, 1)
    assert isinstance(experiment_of("model=polynomial"), Experiment)
