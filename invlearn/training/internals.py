"""The parts of torch that invlearn uses though they are no part of its interface, and why.

Whatever breaks with a new version of torch breaks here; ``invlearn.config.hydra`` is the same for Hydra.
"""

from __future__ import annotations

import inspect

import torch

__all__ = ["optimise_without_compiler", "take_step"]


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """The optimiser's step without its hooks and its marks for profilers, which cost as much as a small layer."""
    inspect.unwrap(type(optimizer).step)(optimizer)


def optimise_without_compiler() -> None:
    """Keep torch.optim from importing torch's compiler, a second or more, in a process that compiles nothing.

    It does so only to hide four methods of ``Optimizer`` from the compiler: the first call of each looks for the hidden
    method, and imports the compiler where there is none yet. For the command line alone; a library must not do this to
    the process it is in.
    """
    for method in vars(torch.optim.Optimizer).values():
        hidden = getattr(method, "__wrapped__", None)
        if hidden is not None and method.__module__ == torch.optim.Optimizer.__module__:
            hidden.__dynamo_disable = hidden
