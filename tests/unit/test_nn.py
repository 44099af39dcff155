"""Layers and networks: the formulas, gradients, replicas, sizes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from invlearn.data.seeding import seeded_generator
from invlearn.nn import (
    ExtendedAutoEncoder,
    ExtendedLayer,
    ExtendedNetwork,
    StackedLinear,
    StandardAutoEncoder,
    StandardNetwork,
    extended_features,
)
from invlearn.nn.extended import EPS
from tests.support.errors import names, naming


def generators(*seeds: int) -> list[torch.Generator]:
    return [seeded_generator(seed) for seed in seeds]


def test_stacked_linear_is_one_linear_per_replica() -> None:
    layer = StackedLinear(3, 5, generators(0, 1), nn.init.normal_)
    nn.init.normal_(layer.affine)
    x = torch.randn(2, 7, 3)
    for r in range(2):
        torch.testing.assert_close(layer(x)[r], x[r] @ layer.weight[r] + layer.bias[r])


def test_extended_layer_is_the_formula_of_section_4() -> None:
    layer = ExtendedLayer(3, 4, generators(0)).double().requires_grad_(False)
    x = torch.randn(1, 2, 3, dtype=torch.float64)
    weight, bias = layer.linear.weight[0], layer.linear.bias[0, 0]
    for row, output in zip(x[0], layer(x)[0], strict=True):
        linear = [sum(row[i] * weight[i, k] for i in range(3)) + bias[k] for k in range(4)]
        even, odd = linear[:2], linear[2:]
        norm = [math.sqrt(e**2 + o**2 + EPS) for e, o in zip(even, odd, strict=True)]
        cosine = [float(e / n) for e, n in zip(even, norm, strict=True)]
        sine = [float(o / n) for o, n in zip(odd, norm, strict=True)]
        expected = [*row.tolist(), *norm, *cosine, *sine, *(c * s for c, s in zip(cosine, sine, strict=True))]
        torch.testing.assert_close(output, torch.tensor(expected, dtype=torch.float64))


def test_the_papers_layer_triples_the_width() -> None:
    network = ExtendedNetwork(4, 7, depth=3, columns="input", width=None, generators=generators(0))
    widths = [layer.linear.weight.shape[1:] for layer in network if isinstance(layer, ExtendedLayer)]
    assert widths == [(4, 4), (12, 12), (36, 36)]
    assert network(torch.zeros(1, 2, 4)).shape == (1, 2, 7)


def test_odd_columns_are_rounded_up() -> None:
    network = ExtendedNetwork(7, 7, depth=1, columns="input", width=None, generators=generators(0))
    assert network(torch.zeros(1, 2, 7)).shape == (1, 2, 7)
    assert next(network.parameters()).shape == (1, 1 + 7, 8)


def test_width_projects_before_each_layer_so_that_depth_reaches_20() -> None:
    network = ExtendedNetwork(10, 10, depth=20, columns="input", width=12, generators=generators(0))
    layers = [layer for layer in network if isinstance(layer, ExtendedLayer)]
    assert [layer.linear.weight.shape[1] for layer in layers] == [12] * 20
    assert torch.isfinite(network(torch.randn(1, 3, 10))).all()


def test_gradients_of_the_extended_features() -> None:
    x = torch.randn(1, 3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(extended_features, (x,))
    assert torch.autograd.gradcheck(lambda x: extended_features(x, 1e-4), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_are_finite_at_zero_and_far_away(dtype: torch.dtype) -> None:
    for scale in (0.0, 1e-30, 1e-8, 1e15):
        x = (torch.ones(1, 2, 4, dtype=dtype) * scale).requires_grad_()
        features = extended_features(x, 1e-8)
        features.sum().backward()
        assert x.grad is not None
        assert torch.isfinite(features).all()
        assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "selu"])
def test_standard_network_is_layer_after_layer(activation: str) -> None:
    functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "selu": torch.selu}
    network = StandardNetwork(3, 2, depth=2, width=5, activation=activation, generators=generators(0, 1))  # type: ignore[arg-type]
    x = torch.randn(2, 4, 3)
    first, second, last = (layer for layer in network if isinstance(layer, StackedLinear))
    hidden = functions[activation](x @ first.weight + first.bias)
    hidden = functions[activation](hidden @ second.weight + second.bias)
    torch.testing.assert_close(network(x), hidden @ last.weight + last.bias)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "selu"])
def test_signals_survive_twenty_layers(activation: str) -> None:
    network = StandardNetwork(10, 30, depth=20, width=80, activation=activation, generators=generators(0))  # type: ignore[arg-type]
    x = torch.rand(1, 500, 10) * 2 - 1
    spread = network(x).std(dim=1).mean().item()
    assert 0.01 < spread < 10


@pytest.mark.parametrize("kind", [StandardAutoEncoder, ExtendedAutoEncoder])
def test_a_replica_starts_where_its_own_run_would(kind) -> None:
    stack = kind(6, 18, generators(3, 4, 5))
    alone = kind(6, 18, generators(5))
    for mine, its in zip(stack.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine[2], its[0])


def test_default_widths_follow_the_dimension() -> None:
    assert StandardAutoEncoder(10, 30, generators(0)).width == 80
    small, large = (ExtendedAutoEncoder(d, 3 * d, generators(0)).columns for d in (5, 20))
    assert isinstance(small, int)
    assert isinstance(large, int)
    assert small < large


def test_decoder_depth_is_its_own() -> None:
    model = ExtendedAutoEncoder(4, 12, generators(0), depth=3, decoder_depth=1)
    assert [sum(isinstance(m, ExtendedLayer) for m in net.modules()) for net in (model.encoder, model.decoder)] == [
        3,
        1,
    ]
    x = torch.randn(1, 5, 4)
    assert torch.equal(model(x), model.decode(model.encode(x)))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"depth": 0}, names(key="depth", value=[1, 1000, 0])),
        ({"columns": 0}, names(key="columns", value=[1, 0])),
        ({"width": 0}, names(key="width", value=[1, 0])),
        ({"eps": 0.0}, names(key="eps", value=[0, 0.0])),
        (
            {"columns": "input", "depth": 8},
            names(key=["depth", "width", "columns"], value="50,000,000", also=["parameters"]),
        ),
    ],
)
def test_bad_sizes_are_named(settings: dict, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=naming(**named)):
        ExtendedAutoEncoder(10, 30, generators(0), **settings)
