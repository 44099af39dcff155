"""Bounded values: samples with an offset, a scale and lost values of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invlearn.closed_form import Convolution, Polynomial, SolvedNetwork, fit, observe, stacked
from invlearn.closed_form.candidates import normalization_of, normalizations_of
from invlearn.closed_form.network import Normalize
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.view import normalized
from invlearn.data import EntitySamples
from tests.support.training import CPU, entity_samples


def with_lost_values(entities: int, samples: int) -> EntitySamples:
    """Profiles of 80 features, with an offset of their own and a tenth of the values lost."""
    generator = torch.Generator().manual_seed(0)
    profile = torch.randn(entities, 1, 80, generator=generator, dtype=torch.float64)
    x = profile + 0.3 * torch.randn(entities, samples, 80, generator=generator, dtype=torch.float64)
    x = x + torch.randn(entities, samples, 1, generator=generator, dtype=torch.float64)
    lost = torch.rand(x.shape, generator=generator) < 0.1
    return entity_samples(torch.where(lost, -12.0, x))


def recall(settings: ClosedForm, dataset: EntitySamples) -> float:
    network = stacked(settings, [fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)])
    query, gallery = (network.requires_grad_(False).encode(part[None])[0] for part in dataset.query_and_gallery(0))
    return float((torch.cdist(query, gallery).argmin(1) == torch.arange(len(query))).double().mean())


def samples() -> Tensor:
    return torch.randn(5, 31, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_bounded_values_have_no_offset_and_no_scale() -> None:
    x = samples()
    bounded = normalized(x, "robust")
    assert float(bounded.abs().max()) < 1
    torch.testing.assert_close(normalized(7.0 + 3.0 * x, "robust"), bounded)
    torch.testing.assert_close(bounded.sort(dim=1).indices, x.sort(dim=1).indices)


def test_an_outlier_is_bounded() -> None:
    x = samples()
    damaged = x.clone()
    damaged[:, 0] = -1e3
    bounded = normalized(damaged, "robust")
    assert float(bounded[:, 0].max()) == pytest.approx(-1, abs=1e-3)
    # The mean deviation grows: the others keep their order around the median.
    others = normalized(x[:, 1:], "robust").sort(dim=1).indices
    assert torch.equal(bounded[:, 1:].sort(dim=1).indices, others)


def test_a_constant_sample_is_0() -> None:
    assert float(normalized(7 * torch.ones(2, 5), "robust").abs().max()) == 0


def test_values_are_bounded_where_that_helps() -> None:
    dataset = with_lost_values(60, 4)
    solved = fit(Polynomial(degree=1, refit=0), observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert normalization_of(solved.best.flags) == "robust"
    robust, none = (Polynomial(degree=1, normalize=kind, refit=0) for kind in ("robust", "none"))
    assert recall(robust, dataset) > recall(none, dataset)


def test_what_is_not_tried() -> None:
    assert "robust" in normalizations_of(Polynomial())
    assert "robust" not in normalizations_of(Polynomial(complete=True))
    assert "robust" not in normalizations_of(Convolution())
    assert normalizations_of(Convolution(normalize="robust")) == ["robust"]


def test_a_stack_may_bound_some_of_its_replicas() -> None:
    dataset = with_lost_values(30, 4)
    kinds = ("robust", "sphere")
    solved = [
        fit(Polynomial(degree=1, normalize=kind, refit=0), observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
        for kind in kinds
    ]
    together = stacked(Polynomial(), solved)
    x = dataset.samples[:9][None].double()
    for index, one in enumerate(solved):
        torch.testing.assert_close(
            together.encode(x.expand(2, -1, -1))[index, :, : len(one.bias)], stacked(Polynomial(), [one]).encode(x)[0]
        )
    state = together.state_dict()
    restored = SolvedNetwork.like(Polynomial(), state)
    restored.load_state_dict(state, assign=True)
    torch.testing.assert_close(restored.encode(x.expand(2, -1, -1)), together.encode(x.expand(2, -1, -1)))
    alone = stacked(Polynomial(), solved[1:])
    assert isinstance(alone.encoder.normalize, Normalize)
    assert alone.encoder.normalize.bound is None  # as in runs of earlier versions


def test_bounded_values_have_derivatives() -> None:
    x = samples().requires_grad_()
    assert torch.autograd.gradcheck(lambda value: normalized(value, "robust"), x)
