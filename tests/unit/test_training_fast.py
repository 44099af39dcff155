"""The fast path computes what the plain one does."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from invlearn.data import Batch
from invlearn.nn import AutoEncoder, Components, ExtendedLayer, StackedLinear
from invlearn.training.experiment import Experiment
from invlearn.training.fast import ParameterGroup, clip_gradients, fast_objective
from invlearn.training.fast.passes import is_known
from invlearn.training.learner import learn
from invlearn.training.loop import TrainingState
from tests.support.training import CPU, examples_of, experiment_of

MODELS = {
    **{
        name: ["model=standard", f"model.activation={name}", "model.depth=3"]
        for name in ("sigmoid", "tanh", "relu", "selu")
    },
    "extended": ["model=extended", "model.depth=2"],
    "the paper's": ["model=extended", "model.depth=3", "model.columns=input"],
    "projected": ["model=extended", "model.depth=3", "model.width=6"],
    "uneven": ["model=extended", "model.depth=3", "model.decoder_depth=1"],
}
LOSSES = {
    "pairwise": ["loss=pairwise"],
    "batch": ["loss=pairwise", "loss.pairs=batch"],
    "invariant only": ["loss=pairwise", "loss.variant=0", "loss.delta=0.5"],
    **{name: ["loss=supervised_dft", f"loss.objective={name}"] for name in ("full", "encoder", "decoder")},
}


def gradients(state: TrainingState, experiment: Experiment, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
    statistics = experiment.loss.at(0.6, state.statistics)
    terms = state.objective(batch, statistics)
    grads = [torch.empty(0) if p.grad is None else p.grad.clone() for p in state.model.parameters()]
    return terms, grads


@pytest.mark.parametrize(("model", "loss", "replicas"), list(itertools.product(MODELS, LOSSES, (1, 3))))
def test_gradients_are_those_of_autograd(tiny: list[str], model: str, loss: str, replicas: int) -> None:
    overrides = [*tiny, *MODELS[model], *LOSSES[loss], f"replicas={replicas}", "dtype=float64"]
    fast, plain = (experiment_of(*overrides, f"engine={engine}") for engine in ("auto", "plain"))
    examples = examples_of(fast)
    states = [TrainingState.initial(experiment, examples, CPU) for experiment in (fast, plain)]
    for start in (0, fast.batch_size):  # twice: nothing of the first batch is left over in the second
        batch = type(examples)(*(part[:, start : start + fast.batch_size] for part in examples))
        (terms, grads), (expected_terms, expected_grads) = (
            gradients(state, experiment, batch) for state, experiment in zip(states, (fast, plain), strict=True)
        )
        assert set(terms) == set(expected_terms)
        for name, term in terms.items():
            torch.testing.assert_close(term, expected_terms[name], rtol=1e-12, atol=0)
        for grad, expected in zip(grads, expected_grads, strict=True):
            torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("data_seed", ["null", "3"])
def test_graphed_steps_are_those_of_the_loop(tiny: list[str], optimizer: str, data_seed: str) -> None:
    """All but the capture, which takes a GPU: rows, rates and statistics from tables on the device."""
    overrides = [*tiny, "dataset.size=1300", "trainer.epochs=6", "dtype=float64", "replicas=2", "loss.alpha_growth=9"]
    overrides += [f"optimizer={optimizer}", "optimizer.lr=0.01", f"dataset.seed={data_seed}", "trainer.warmup_steps=9"]
    states = []
    for engine in ("auto", "graph"):
        experiment = experiment_of(*overrides, f"engine={engine}")
        states.append(learn(experiment))
    loop, graphed = states
    assert graphed.graphed is not None
    for name, values in loop.history.items():
        assert torch.tensor(graphed.history[name]) == pytest.approx(torch.tensor(values), rel=1e-6), name


def test_what_is_not_known_is_left_to_autograd() -> None:
    generators = [torch.Generator().manual_seed(0)]
    linear = [StackedLinear(4, 4, generators, nn.init.normal_) for _ in range(3)]
    extended = ExtendedLayer(4, 4, generators)
    last = StackedLinear(12, 4, generators, nn.init.normal_)
    assert is_known(nn.Sequential(linear[0], nn.Tanh(), linear[1]))
    assert is_known(nn.Sequential(linear[0]))
    assert is_known(nn.Sequential(linear[0], linear[1], extended, last))
    assert not is_known(linear[0])
    assert not is_known(nn.Sequential(linear[0], nn.GELU(), linear[1]))
    assert not is_known(nn.Sequential(linear[0], nn.Tanh(), nn.Tanh(), linear[1]))
    assert not is_known(nn.Sequential(nn.Tanh(), linear[0]))
    assert not is_known(nn.Sequential(linear[0], nn.Tanh()))
    assert not is_known(nn.Sequential(linear[0], extended))

    class Own(AutoEncoder):
        def encode(self, x_RBD: Tensor) -> Tensor:
            return 2 * self.encoder(x_RBD)

    loss = experiment_of().loss
    encoder, decoder = (nn.Sequential(StackedLinear(10, 30, generators, nn.init.normal_)) for _ in range(2))
    assert fast_objective(loss, Own(encoder, decoder), 8) is None
    assert fast_objective(loss, AutoEncoder(encoder, decoder, Components(12, 10, 1)), 8) is None


def test_each_replica_has_its_own_gradient_norm() -> None:
    parameters = [nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(2, 1, 4))]
    groups = [ParameterGroup([parameter], 1.0) for parameter in parameters]
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.fill_(1.0)
        parameter.grad[1] *= 1e-3
    clip_gradients(groups, 1.0)
    norms = [sum(p.grad[r].square().sum().item() for p in parameters if p.grad is not None) ** 0.5 for r in (0, 1)]
    assert norms == pytest.approx([1.0, 4e-3], rel=1e-5)
    clip_gradients(groups, None)
    assert groups[0].flat.grad is not None
    assert groups[0].flat.grad[0].item() == pytest.approx(0.25, rel=1e-5)


def test_one_optimiser_step_moves_every_parameter_of_a_group() -> None:
    parameters = [nn.Parameter(torch.ones(2, 3, 4)), nn.Parameter(torch.ones(2, 1, 4))]
    group = ParameterGroup(parameters, 0.5)
    for index, parameter in enumerate(parameters):
        assert parameter.grad is not None
        parameter.grad.fill_(index + 1.0)
    torch.optim.SGD([group.flat], lr=0.5).step()
    assert torch.equal(parameters[0], torch.full((2, 3, 4), 0.5))
    assert torch.equal(parameters[1], torch.zeros(2, 1, 4))
