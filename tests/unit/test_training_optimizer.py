"""Optimisers over a stack: those that treat each parameter by itself are accepted, and give what single runs give."""

from __future__ import annotations

import pytest
import torch

from invlearn.errors import UserError
from invlearn.training.learner import learn
from invlearn.training.optimizer import check_element_wise
from tests.support.errors import naming
from tests.support.training import experiment_of

ACCEPTED = ("Adam", "AdamW", "SGD", "RAdam", "NAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD")
REFUSED = ("Adafactor", "LBFGS", "Muon", "SparseAdam")


def chosen(name: str) -> list[str]:
    """Overrides that choose an optimiser with its own defaults."""
    rates = ["optimizer.lr=0.003", "trainer.input_lr_factor=2"]
    return ["~optimizer.betas", "~optimizer.fused", f"optimizer._target_=torch.optim.{name}", *rates]


def test_every_optimiser_of_torch_is_one_or_the_other() -> None:
    there = {name for name, item in vars(torch.optim).items() if isinstance(item, type)} - {"Optimizer"}
    assert there == {*ACCEPTED, *REFUSED}


@pytest.mark.parametrize("name", ACCEPTED)
def test_two_replicas_give_what_two_runs_give(tiny: list[str], name: str) -> None:
    words = [*tiny, *chosen(name), "dtype=float64", "trainer.epochs=4", "trainer.warmup_steps=3"]
    stack = learn(experiment_of(*words, "replicas=2", "seed=3"))
    for replica in (0, 1):
        alone = learn(experiment_of(*words, f"seed={3 + replica}"))
        for parameter, value in alone.model.state_dict().items():
            torch.testing.assert_close(stack.model.state_dict()[parameter][replica], value[0], rtol=1e-6, atol=1e-9)
    initial = experiment_of(*words, "seed=3").encoder("cpu").network.state_dict()
    assert any(not torch.equal(value[0], stack.model.state_dict()[key][0]) for key, value in initial.items())


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_by_name(tiny: list[str], name: str) -> None:
    suggested = {} if name == "Muon" else {"suggests": "Adam"}  # Muon says by itself that it takes matrices alone
    with pytest.raises(UserError, match=naming(key="optimizer", value=name, **suggested)):
        experiment_of(*tiny, *chosen(name))


def test_a_strange_optimiser_is_tried_not_looked_up() -> None:
    class Mixing(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.sub_(group["lr"] * parameter.grad / parameter.grad.norm())

    torch.optim.Mixing = Mixing  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with pytest.raises(UserError, match=naming(value="Mixing")):
            check_element_wise({"_target_": "torch.optim.Mixing", "lr": 0.1})
    finally:
        del torch.optim.Mixing  # pyright: ignore[reportAttributeAccessIssue]
