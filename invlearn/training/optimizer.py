"""Optimisers over a stack of replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from invlearn.config.build import build
from invlearn.errors import UserError
from invlearn.nn import AutoEncoder
from invlearn.training.fast import ParameterGroup
from invlearn.training.internals import take_step

__all__ = ["check_element_wise", "make_optimizer", "parameter_groups"]


def parameter_groups(network: AutoEncoder, lr: float, input_lr_factor: float) -> list[ParameterGroup]:
    """The trained parameters, in groups that share a learning rate.

    Args:
        network: The network; its ``fast_parameters`` learn faster.
        lr: Peak learning rate.
        input_lr_factor: Factor on the learning rate of these.
    """
    fast = {id(parameter) for parameter in network.fast_parameters()}
    members: dict[float, list[nn.Parameter]] = {}
    for parameter in filter(lambda parameter: parameter.requires_grad, network.parameters()):
        members.setdefault(lr * input_lr_factor if id(parameter) in fast else lr, []).append(parameter)
    return [ParameterGroup(parameters, peak) for peak, parameters in members.items()]


def make_optimizer(node: Mapping[str, Any], groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
    """The optimiser that a config names, over groups of parameters; ``peak_lr`` has the peak rate of each."""
    return build("optimizer", node, [{"params": [group.flat], "peak_lr": group.peak_lr} for group in groups])[0]


def check_element_wise(node: Mapping[str, Any]) -> None:
    """Refuse an optimiser that does not update each parameter separately, because it would mix the replicas of a stack.

    A few steps on two numbers together must give the same result as on each alone.

    Raises:
        UserError: They do not, or it needs a closure or sparse gradients.
    """
    name = str(node["_target_"]).rpartition(".")[2]
    try:
        together, *alone = (_stepped(node, part) for part in ([0.3, -40.0], [0.3], [-40.0]))
        element_wise = torch.allclose(together, torch.cat(alone), rtol=1e-6, atol=0, equal_nan=True)
    except (TypeError, ValueError, RuntimeError):
        element_wise = False
    if not element_wise:
        raise UserError(
            f"optimizer: {name} does not update each parameter separately and would mix the replicas of a stack; "
            f"choose from: Adam, AdamW, SGD, RAdam, NAdam, Adamax, Adagrad, Adadelta, RMSprop, Rprop, ASGD"
        )


def _stepped(node: Mapping[str, Any], start: list[float]) -> torch.Tensor:
    parameter = nn.Parameter(torch.tensor(start))
    optimizer, _ = build("optimizer", node, [parameter])
    with torch.no_grad():
        for step in range(3):
            parameter.grad = parameter.detach() * (step + 1) + 0.1
            take_step(optimizer)
    return parameter.detach()
