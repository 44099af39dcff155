"""Closed forms on features of samples: random convolutions of series, random Fourier features."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import f_oneway
from torch import Tensor

from invlearn.closed_form import ClosedForm, Convolution, Fourier, Polynomial, SolvedNetwork, fit, observe, stacked
from invlearn.closed_form.convolution import Convolutions, convolved
from invlearn.closed_form.selected import Selected, variance_ratio
from invlearn.data import EntitySamples
from invlearn.data.seeding import seeded_generator
from tests.support.errors import naming
from tests.support.training import CPU, entity_samples


def rhythms(entities: int, samples: int, *, length: int = 120, channels: int = 1) -> EntitySamples:
    """Noisy series, each entity with its own periods, begun at any time."""
    generator = seeded_generator(0, "rhythms")

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    periods = 4 * 8 ** uniform(entities, 1, channels, 2, 1)
    phases = 2 * math.pi * uniform(entities, samples, channels, 2, 1)
    x = torch.sin(2 * math.pi * torch.arange(length) / periods + phases).sum(3).flatten(2)
    return entity_samples(x + 0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64))


def recall(settings: ClosedForm, dataset: EntitySamples) -> float:
    network = stacked(settings, [fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)])
    query, gallery = (network.requires_grad_(False).encode(part[None])[0] for part in dataset.query_and_gallery(0))
    return float((torch.cdist(query, gallery).argmin(1) == torch.arange(len(query))).double().mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_series_are_found_again_by_convolutions(channels: int) -> None:
    dataset = rhythms(120, 4, channels=channels)
    assert recall(Convolution(kernels=100, channels=channels), dataset) > 0.85
    assert recall(Polynomial(degree=1), dataset) < 0.5


def test_a_convolution_is_that_of_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    series = torch.randn(2, 3, 2, 40, generator=generator, dtype=torch.float64)
    kernels = torch.randn(2, 5, 2, 9, generator=generator, dtype=torch.float64)
    found = convolved(series, kernels, 3)
    padded = torch.nn.functional.pad(series, (12, 12))
    expected = sum(
        torch.einsum("rkc,rbcl->rbkl", kernels[..., tap], padded[..., 3 * tap : 3 * tap + 40]) for tap in range(9)
    )
    torch.testing.assert_close(found, expected)


def test_equal_series_in_any_order_have_equal_features() -> None:
    x = torch.randn(30, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (features,) = Convolution(kernels=20).draw(x, torch.arange(len(x)), torch.Generator().manual_seed(1))
    assert isinstance(features, Convolutions)
    order = torch.tensor([3, 3, 0, 29, 3, 7])
    torch.testing.assert_close(features(x[None, order]), features.shares(x[None])[:, order])


def test_flat_series_have_features_that_rounding_does_not_decide() -> None:
    x = torch.randn(30, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 10:40] = 0.7
    (features,) = Convolution(kernels=50).draw(x, torch.arange(len(x)), torch.Generator().manual_seed(1))
    exact = features(x[None])
    torch.testing.assert_close(features.float()(x[None].float()).double(), exact, rtol=0, atol=1e-5)


def test_waves_find_what_polynomials_do_not() -> None:
    generator = seeded_generator(0, "curve")
    along = 4 * torch.rand(200, 6, generator=generator, dtype=torch.float64)
    entity = torch.randn(200, 1, generator=generator, dtype=torch.float64)
    dataset = entity_samples(torch.stack([entity + torch.sin(4 * along), along], dim=2))
    assert recall(Fourier(features=300), dataset) > 2 * recall(Polynomial(), dataset)


@pytest.mark.parametrize("settings", [Convolution(kernels=10), Fourier(features=20, width=2.0)])
def test_replicas_make_one_stack(settings: ClosedForm) -> None:
    dataset = rhythms(60, 3, length=30)
    solved = [fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), seed) for seed in (0, 1)]
    x = dataset.samples[None, :9]
    together = stacked(settings, solved)
    codes = together.encode(x.expand(2, -1, -1))
    for replica, one in enumerate(solved):
        alone = stacked(settings, [one]).encode(x)[0]
        torch.testing.assert_close(codes[replica, :, : alone.shape[1]], alone)
    assert not torch.allclose(codes[0], codes[1])
    like = SolvedNetwork.like(settings, together.state_dict())
    like.load_state_dict(together.state_dict(), assign=True)
    torch.testing.assert_close(like.encode(x.expand(2, -1, -1)), codes)


@pytest.mark.parametrize(("dim", "channels", "key"), [(30, 4, "channels"), (16, 2, "9")])
def test_series_of_an_impossible_length_are_refused(dim: int, channels: int, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        Convolution(channels=channels).check(dim)


@pytest.mark.parametrize(
    ("of", "settings", "key"),
    [(Convolution, {"kernels": 0}, "kernels"), (Convolution, {"channels": 0}, "channels"),
     (Fourier, {"features": 0}, "features"), (Fourier, {"width": 0.0}, "width")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(of: type[ClosedForm], settings: dict, key: str) -> None:
    with pytest.raises(ValueError, match=naming(key=key)):
        of(**settings)


def test_the_variance_ratio_is_that_of_an_analysis_of_variance() -> None:
    entity = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 2] = 1.0
    ratio = variance_ratio(x, entity)
    groups = [x[entity == one].numpy() for one in range(3)]
    expected = [f_oneway(*(group[:, column] for group in groups)).statistic for column in range(2)]
    assert ratio.tolist() == pytest.approx([*expected, 0.0])


def informative(columns: int, dim: int = 200) -> EntitySamples:
    """Entities that differ in a few of many features, all of the same variance."""
    generator = seeded_generator(0, "informative")
    x = torch.randn(200, 4, dim, generator=generator, dtype=torch.float64)
    entity = torch.randn(200, 1, columns, generator=generator, dtype=torch.float64)
    x[..., :columns] = 0.8 * entity + 0.6 * x[..., :columns]
    return entity_samples(x)


def test_a_few_features_among_many_are_chosen_where_that_helps() -> None:
    dataset = informative(20)
    settings = Polynomial(normalize="none", degree=1)
    assert recall(settings, dataset) > recall(replace(settings, select=200), dataset) + 0.2
    solved = fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert isinstance(solved.features, Selected)
    mask = solved.features.mask[0].bool()
    assert int(mask.sum()) == 32
    assert bool(mask[:20].all())


def test_choices_of_replicas_make_one_stack() -> None:
    dataset = informative(20)
    observed, pairs = observe(dataset, 0, CPU), dataset.pairs("valid", 0)
    solved = [fit(Polynomial(select=select, degree=1), observed, pairs, 0) for select in (32, 200)]
    x = torch.randn(1, 5, 200, dtype=torch.float64)
    both = stacked(Polynomial(), solved).encode(x.expand(2, -1, -1))
    for replica, one in enumerate(solved):
        alone = stacked(Polynomial(), [one])
        torch.testing.assert_close(both[replica, :, : alone.code], alone.encode(x)[0])
        like = SolvedNetwork.like(Polynomial(), alone.state_dict())
        assert like.get_parameter("encoder.features.mask").shape == (1, 200)


def test_a_count_of_features_is_at_least_1() -> None:
    with pytest.raises(ValueError, match=naming(key="select", value=0)):
        Polynomial(select=0)


def test_a_rank_that_is_given_is_not_that_of_fewer_features() -> None:
    """A quick lift of 32 chosen features of 128 once took the place of the large lift of all of them."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(40, 128, generator=generator)
    signals = torch.randn(60, 1, 40, generator=generator) + 0.1 * torch.randn(60, 4, 40, generator=generator)
    dataset = entity_samples(signals @ mixing)
    settings = Polynomial(degree=2, rank=40, normalize="none", ridge=0.1, refit=0)
    solved = fit(settings, observe(dataset, 0, "cpu"), dataset.pairs("valid", 0), 0)
    assert {one.rank for one in solved.candidates} == {40}
