"""Private parts of torch that invlearn uses, and why.

A new version of torch can break invlearn only here; ``invlearn.config.hydra`` is the same for Hydra.
"""

from __future__ import annotations

import inspect

import torch

__all__ = ["optimise_without_compiler", "take_step"]


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """The optimiser's step without hooks and profiler marks, which cost as much time as a small layer."""
    inspect.unwrap(type(optimizer).step)(optimizer)


def optimise_without_compiler() -> None:
    """Keep torch.optim from importing torch's compiler, which takes a second or more, if nothing is compiled.

    torch.optim imports it only to hide four methods of ``Optimizer`` from the compiler: the first call of each looks
    for the hidden method, and imports the compiler if there is none. Only the command line may use this; a library
    must not change its process.
    """
    for method in vars(torch.optim.Optimizer).values():
        hidden = getattr(method, "__wrapped__", None)
        if hidden is not None and method.__module__ == torch.optim.Optimizer.__module__:
            hidden.__dynamo_disable = hidden
