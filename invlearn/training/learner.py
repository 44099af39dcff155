"""Training in memory: from an experiment to an encoder and its history."""

from __future__ import annotations

from collections.abc import Callable

import torch

from invlearn.data import Batch
from invlearn.evaluation.measured import HeldOut
from invlearn.training.device import resolve_device, torch_set_up
from invlearn.training.experiment import Experiment
from invlearn.training.joining import solve_or_join
from invlearn.training.loop import TrainingState, train_epochs
from invlearn.training.solving import Fitted

__all__ = ["learn", "prepare_training"]


def prepare_training(
    experiment: Experiment, device: torch.device | str
) -> tuple[TrainingState, Callable[[int], Batch], HeldOut]:
    """The state before the first epoch, the training examples of each epoch, and the validation examples."""
    draws = experiment.draws(device)
    train = draws.training(experiment.loss.sampler)
    valid = HeldOut(draws, experiment.loss, "valid", experiment.batch_size)
    return TrainingState.initial(experiment, train(0), torch.device(device)), train, valid


def learn(experiment: Experiment, device: torch.device | str | None = None) -> TrainingState | Fitted:
    """Train to the end, or solve, without a run directory.

    Args:
        experiment: The experiment.
        device: The device; by default that of the config.

    Returns:
        The last state; its ``encoder`` has the parameters of each replica's best epoch.

    Example:
        ``z_invariant, _ = learn(Experiment.from_config(config)).encoder.encode(x)``
    """
    place = resolve_device(experiment.settings.device) if device is None else device
    with torch_set_up(experiment.settings):
        if experiment.solver:
            return solve_or_join(experiment, torch.device(place))
        state, train, valid = prepare_training(experiment, place)
        for _ in train_epochs(state, experiment, train, valid):
            pass
    state.model.load_state_dict(state.best)
    state.encoder.eval()
    return state
