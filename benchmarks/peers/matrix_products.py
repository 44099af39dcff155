"""The roof: only a step's matrix products, at their shapes, into preallocated memory."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks.problem import Problem

__all__ = ["Peer"]


class Peer:
    """A stack of R replicas."""

    def __init__(self, problem: Problem):
        torch.set_num_threads(problem.case.threads)
        self.steps = problem.case.steps
        self.product = torch.mm if problem.case.replicas == 1 else torch.bmm
        self.operands: list[tuple[Tensor, Tensor, Tensor]] = []
        layers = problem.layers()
        for layer in layers:
            weight = torch.randn_like(layer.weight)
            x, y = (weight.new_empty(len(weight), problem.rows, size).normal_() for size in weight.shape[1:])
            if len(weight) == 1:
                x, weight, y = x[0], weight[0], y[0]
            self.operands += [(x, weight, torch.empty_like(y)), (x.mT, y, torch.empty_like(weight))]
            if layer is not layers[0]:  # whose input needs no gradient
                self.operands.append((y, weight.mT, torch.empty_like(x)))

    def epoch(self, index: int) -> tuple[float, Tensor]:
        """The products of an epoch; its seconds."""
        start = time.perf_counter()
        for _ in range(self.steps):
            for left, right, out in self.operands:
                self.product(left, right, out=out)
        return time.perf_counter() - start, torch.zeros(())
