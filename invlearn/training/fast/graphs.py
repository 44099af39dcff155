"""Training steps without the host: captured once as a CUDA graph, then replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invlearn.data import Batch
from invlearn.losses import Statistics
from invlearn.training.fast.parameters import ParameterGroup

__all__ = ["GraphedSteps"]

Step = Callable[[Batch, Statistics], dict[str, Tensor]]
"""Takes a step of training on a batch, and returns the terms of the loss before it, ``(R,)`` each."""

WARM_UPS = 3
"""Steps before a capture, in which libraries choose their kernels and the optimiser creates its state."""


class GraphedSteps:
    """The steps of an epoch as a fixed sequence of operations on a device: one graph, replayed for each step.

    Inputs that differ between steps are in tables on the device: rows of the examples, learning rates, the loss's
    statistics. A counter on the device selects their next line, and each step increments it. On a CPU, which has no
    graphs, the same operations are called one by one.

    Args:
        step: A step; it must read and write the same memory in every call, as the objectives and flat parameters of
            this package do.
        optimizer: The optimiser over the ``flat`` tensors of ``groups``; its learning rates become tensors.
        groups: The trained parameters.
        examples: Training examples, ``(R, N, ...)`` or ``(1, N, ...)`` each.
        rows: Rows of each batch, as indices into all replicas' stacked examples, ``(R, steps, B)``.
        statistics: Statistics of the first step; those of other steps have the same names and shapes.
    """

    def __init__(
        self,
        step: Step,
        *,
        optimizer: torch.optim.Optimizer,
        groups: Sequence[ParameterGroup],
        examples: Batch,
        rows: Tensor,
        statistics: Statistics,
    ):
        self.step, self.optimizer, self.groups = step, optimizer, groups
        self.kind = type(examples)
        self.examples = [part.flatten(0, 1) for part in examples]
        self.rows = torch.empty_like(rows)
        steps, device = rows.shape[1], rows.device
        self.counter = torch.zeros(1, dtype=torch.long, device=device)
        self.factors = self.examples[0].new_zeros(steps)
        self.statistics = {name: value.expand(steps, *value.shape).clone() for name, value in statistics.items()}
        self.sums: dict[str, Tensor] = {}
        self.graph: torch.cuda.CUDAGraph | None = None
        for group in optimizer.param_groups:
            # torch's fused optimisers read a learning rate on a GPU as float32.
            group["lr"] = self.factors.new_zeros((), dtype=torch.float32 if device.type == "cuda" else None)
            if "capturable" in group:
                group["capturable"] = device.type == "cuda"

    def run(
        self, examples: Batch, rows: Tensor, factors: Sequence[float], statistics: Sequence[Statistics]
    ) -> dict[str, Tensor]:
        """Take the steps of an epoch.

        Args:
            examples: Training examples of the epoch; they replace those before them.
            rows: As in the constructor.
            factors: Factor on the peak learning rates at each step.
            statistics: Statistics of each step.

        Returns:
            The sum of each term of the loss over the steps, ``(R,)``.
        """
        for ours, part in zip(self.examples, examples, strict=True):
            if part.data_ptr() != ours.data_ptr():
                ours.copy_(part.flatten(0, 1))
        self.rows.copy_(rows)
        self.factors.copy_(torch.tensor(factors, dtype=self.factors.dtype))
        for name, table in self.statistics.items():
            torch.stack([of_step[name] for of_step in statistics], out=table)
        if self.rows.device.type == "cuda" and self.graph is None:
            with torch.cuda.device(self.rows.device):
                self.graph = self._capture()
        self._rewind()
        for _ in factors:
            if self.graph is None:
                self._one()
            else:
                with torch.cuda.device(self.rows.device):
                    self.graph.replay()
        return self.sums

    def _one(self) -> None:
        rows = self.rows.index_select(1, self.counter).squeeze(1)
        batch = self.kind(*(part.index_select(0, rows.flatten()).unflatten(0, rows.shape) for part in self.examples))
        factor = self.factors.index_select(0, self.counter).squeeze(0)
        for group in self.optimizer.param_groups:
            torch.mul(factor, group["peak_lr"], out=group["lr"])
        line = {name: table.index_select(0, self.counter).squeeze(0) for name, table in self.statistics.items()}
        for name, term in self.step(batch, line).items():
            if name in self.sums:
                self.sums[name].add_(term)
            else:
                self.sums[name] = term.clone()
        self.counter.add_(1)

    def _rewind(self) -> None:
        self.counter.zero_()
        for total in self.sums.values():
            total.zero_()

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Record a step; parameters and optimiser are restored after the steps that this takes."""
        parameters = [group.flat.detach().clone() for group in self.groups]
        states = {key: {name: value.clone() for name, value in state.items()} for key, state in self._tensors().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._rewind()
                self._one()
        torch.cuda.current_stream().wait_stream(side)
        self._rewind()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._one()
        with torch.no_grad():
            for group, before in zip(self.groups, parameters, strict=True):
                group.flat.copy_(before)
            for key, state in self._tensors().items():
                for name, value in state.items():
                    value.copy_(states[key][name]) if key in states else value.zero_()
        return graph

    def _tensors(self) -> dict[Tensor, dict[str, Tensor]]:
        return {
            parameter: {name: value for name, value in state.items() if isinstance(value, Tensor)}
            for parameter, state in self.optimizer.state.items()
        }
