"""Experiments and their examples, in memory."""

from __future__ import annotations

import torch

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import Batch, Split
from invlearn.training.experiment import Experiment

__all__ = ["CPU", "examples_of", "experiment_of"]

CPU = torch.device("cpu")


def experiment_of(*overrides: str) -> Experiment:
    return Experiment.from_config(as_plain(compose(overrides)))


def examples_of(experiment: Experiment, split: Split = "train", device: torch.device = CPU) -> Batch:
    """What the loss is trained on, in the first epoch where it is drawn anew for each."""
    return experiment.draws(device).training(experiment.loss.sampler, split=split)(0)
