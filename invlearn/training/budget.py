"""How long training takes on this machine, and how much of it fits into a budget."""

from __future__ import annotations

import time

import torch

from invlearn.data import Batch
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState, train_step

__all__ = ["seconds_per_step", "within_budget"]

TIMED_STEPS = 20

STEPS = 0.9
"""Share of the time that steps take; the rest is validation and checkpoints."""


def within_budget(experiment: Experiment, device: torch.device, minutes: float | None) -> Experiment:
    """The same with fewer epochs, if there is too little time for all of them; with one at least.

    Args:
        experiment: What is to be trained.
        device: Where.
        minutes: Of training; None sets no limit. A closed form takes what it needs.
    """
    if minutes is None or experiment.solver:
        return experiment
    examples = experiment.draws(device).training(experiment.loss.sampler, split="valid")(0)
    steps = STEPS * 60 * minutes / seconds_per_step(experiment, device, examples)
    epochs = max(1, int(steps / experiment.steps_per_epoch))
    return experiment.lasting(epochs) if epochs < experiment.epochs else experiment


def seconds_per_step(experiment: Experiment, device: torch.device, examples: Batch) -> float:
    """Median time of a real step on a throwaway model.

    Args:
        experiment: What is to be trained.
        device: Where.
        examples: Some to take steps on.
    """
    state = TrainingState.initial(experiment, examples, device)
    size = experiment.batch_size
    replicas = len(experiment.seeds)
    rows = torch.arange(size) % examples[0].shape[1]
    batch = type(examples)(*(part[:, rows].expand(replicas, *part[0, rows].shape) for part in examples))
    given = experiment.loss.at(0.0, state.statistics)
    times = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        train_step(state, experiment, batch, given)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times)[TIMED_STEPS // 2]
