"""invlearn's own loop."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks.problem import Problem
from invlearn.training.loop import TrainingState, train_epoch

__all__ = ["Peer"]


class Peer:
    """A stack of R replicas."""

    def __init__(self, problem: Problem):
        torch.set_num_threads(problem.case.threads)
        self.experiment = problem.experiment
        self.device = torch.device(problem.case.device)
        self.examples = type(problem.examples)(*(part.to(self.device) for part in problem.examples))
        self.state = TrainingState.initial(problem.experiment, self.examples, self.device)

    def epoch(self, index: int) -> tuple[float, Tensor]:
        """Train one epoch; its seconds and mean loss."""
        assert index == self.state.epoch
        start = time.perf_counter()
        losses = train_epoch(self.state, self.experiment, self.examples)["loss"]
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.state.epoch += 1
        return time.perf_counter() - start, losses
