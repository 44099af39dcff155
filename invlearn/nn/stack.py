"""Stacks of ordinary modules, which have no replicas of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

__all__ = ["Stack"]


class Stack(nn.Module):
    """R copies of a module with separate parameters, applied to the R slices of a batch.

    Its parameters are ``(R, ...)``, as everywhere in ``invlearn.nn``, so that replicas train, stop and are stored
    separately. The module may not have buffers, which replicas would share (so no batch normalisation).

    Args:
        make: Makes one module, with torch's own initialisation.
        generators: One generator per replica, which seeds the initialisation.

    Raises:
        ValueError: The module has buffers.

    Example:
        >>> stack = Stack(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), [torch.Generator()] * 2)
        >>> stack(torch.zeros(2, 7, 5)).shape
        torch.Size([2, 7, 3])
    """

    def __init__(self, make: Callable[[], nn.Module], generators: Sequence[torch.Generator]):
        super().__init__()
        modules = []
        for generator in generators:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**62, (), generator=generator, device="cpu")))
                modules.append(make())
        parameters, buffers = stack_module_state(modules)
        if buffers:
            raise ValueError(
                f"{type(modules[0]).__name__} has buffers, {', '.join(buffers)}, which replicas would share"
            )
        with torch.device("meta"):
            self._plan = [make()]  # in a list, so that its parameters are not registered
        self._names = {name.replace(".", "__"): name for name in parameters}
        assert len(self._names) == len(parameters)
        for flat, name in self._names.items():
            self.register_parameter(flat, nn.Parameter(parameters[name].detach()))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, ...)`` to ``(R, B, ...)``."""
        parameters: dict[str, Tensor] = {name: self.get_parameter(flat) for flat, name in self._names.items()}

        def one(of_replica: dict[str, Tensor], x_B: Tensor) -> Tensor:
            return functional_call(self._plan[0], of_replica, (x_B,))

        return vmap(one, randomness="different")(parameters, x)

    def train(self, mode: bool = True) -> Stack:
        """Switch layers such as dropout on or off."""
        self._plan[0].train(mode)
        return super().train(mode)

    def extra_repr(self) -> str:
        """The stacked module."""
        return f"{len(self.get_parameter(next(iter(self._names))))} x {self._plan[0]}"
