"""Training time on this machine, and the epochs that fit into a budget."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

from invlearn.evaluation.measured import HeldOut
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState, train_step, validated

__all__ = ["Pace", "rehearsed", "within_budget"]

TIMED_STEPS = 20

MEASURED = 0.9
"""Share of an epoch for steps and validation; the rest is for drawing examples and storing checkpoints."""


CLOSING = 3
"""Time of the final measurements, without simple methods, in units of one validation."""


class Pace(NamedTuple):
    """Seconds of the parts of a training."""

    start: float
    """Seconds before the first epoch."""
    epoch: float
    """Seconds per epoch."""
    validation: float = 0.0
    """Seconds of a validation, a part of an epoch."""

    def seconds(self, epochs: int) -> float:
        """Seconds of a training, without the final measurements."""
        return self.start + epochs * self.epoch

    def epochs(self, seconds: float) -> int:
        """Number of epochs that fit into a budget with the final measurements, at least one."""
        return max(1, int((seconds - self.start - CLOSING * self.validation) / self.epoch))


def within_budget(experiment: Experiment, device: torch.device, minutes: float | None) -> Experiment:
    """The experiment with fewer epochs, at least one, if there is too little time for all of them.

    Args:
        experiment: The experiment.
        device: The device to train on.
        minutes: Time limit, with the final measurements; None sets no limit. A closed form takes the time it needs.
    """
    if minutes is None or experiment.solver:
        return experiment
    epochs = rehearsed(experiment, device)[1].epochs(60 * minutes)
    return experiment.lasting(epochs) if epochs < experiment.epochs else experiment


def rehearsed(experiment: Experiment, device: torch.device) -> tuple[TrainingState, Pace]:
    """A throwaway model after a few real steps and a validation, and their times.

    Args:
        experiment: The experiment.
        device: The device to train on.
    """
    begin = time.perf_counter()
    draws, size, replicas = experiment.draws(device), experiment.batch_size, len(experiment.seeds)
    # Validation examples, because the training examples of an epoch may be many.
    examples = draws.training(experiment.loss.sampler, split="valid")(0)
    state = TrainingState.initial(experiment, examples, device)
    start = _now(device) - begin
    rows = torch.arange(size) % examples[0].shape[1]
    batch = type(examples)(*(part[:, rows].expand(replicas, *part[0, rows].shape) for part in examples))
    given = experiment.loss.at(0.0, state.statistics)
    times = []
    for _ in range(TIMED_STEPS):
        begin = _now(device)
        train_step(state, experiment, batch, given)
        times.append(_now(device) - begin)
    held_out = HeldOut(draws, experiment.loss, "valid", experiment.batch_size)
    validated(state, held_out)  # draws the examples, once for all epochs
    begin = _now(device)
    validated(state, held_out)
    validation = _now(device) - begin
    epoch = validation + experiment.steps_per_epoch * sorted(times)[TIMED_STEPS // 2]
    return state, Pace(start, epoch / MEASURED, validation)


def _now(device: torch.device) -> float:
    """Wall time in seconds, after all pending work of a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
