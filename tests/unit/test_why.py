"""Which features a code distance comes from."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from invlearn.closed_form import Polynomial, fit, observe, stacked
from invlearn.encoder import InvariantEncoder, Scaler
from invlearn.inference.why import contributions, told
from invlearn.nn import ExtendedAutoEncoder
from tests.support.training import CPU, entity_samples


def closed_form(degree: Literal[1, 3]) -> InvariantEncoder:
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(100, 1, 5, generator=generator, dtype=torch.float64)
    dataset = entity_samples(signals * (1 + 0.1 * torch.randn(100, 4, 5, generator=generator, dtype=torch.float64)))
    settings = Polynomial(degree=degree, normalize="none")
    network = stacked(settings, [fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)])
    width = network.encode(torch.zeros(1, 1, 5, dtype=torch.float64)).shape[-1]
    return InvariantEncoder(network, dim=5, invariant=width, code=width, scaler=Scaler(0.2, 3.0))


def network() -> InvariantEncoder:
    net = ExtendedAutoEncoder(5, 15, [torch.Generator().manual_seed(0)], depth=1).double().requires_grad_(False)
    return InvariantEncoder(net, dim=5, invariant=5, code=15)


@pytest.mark.parametrize("make", [lambda: closed_form(1), lambda: closed_form(3), network])
def test_contributions_are_those_of_the_distance(make) -> None:
    encoder = make()
    rng = np.random.default_rng(0)
    x, x_prime = rng.normal(size=(2, 40, 5))
    x_prime[:, 2] = x[:, 2]
    found = contributions(encoder, x, x_prime)
    squared = np.square(encoder.encode(x)[0] - encoder.encode(x_prime)[0]).sum(1)
    assert found.sum(1) == pytest.approx(squared, rel=0.05)
    assert found == pytest.approx(contributions(encoder, x_prime, x))
    assert not found[:, 2].any()


def test_of_a_linear_code_they_are_known() -> None:
    encoder = closed_form(1)
    x, x_prime = np.random.default_rng(0).normal(size=(2, 10, 5))
    rows = np.concatenate([np.zeros((1, 5)), np.eye(5)])
    codes = encoder.encode(rows)[0]
    slopes = codes[1:] - codes[0]
    change = x - x_prime
    assert contributions(encoder, x, x_prime) == pytest.approx(change * (change @ slopes @ slopes.T))


def test_the_features_that_differ_are_named() -> None:
    encoder = closed_form(1)
    x = np.random.default_rng(0).normal(size=(3, 5))
    x_prime = x.copy()
    x_prime[0, 3] += 1
    x_prime[1, :2] += 1
    apart = float(np.linalg.norm(encoder.encode(x[:1])[0] - encoder.encode(x_prime[:1])[0]))
    first, second, same = told(encoder, x, x_prime, list("abcde"), apart)
    assert first == "d 1"
    assert {part.split()[0] for part in second.split(", ")} <= {"a", "b"}
    assert not same
    assert told(encoder, x, x_prime, list("abcde"), 2 * apart)[0] == "d 0.25"
    assert told(encoder, x, x_prime, list("abcde"), 1e3 * apart) == ["", "", ""]
    assert told(encoder, x, x_prime, list("abcde"), 0.0) == ["", "", ""]
