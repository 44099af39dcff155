"""Experiments and their examples, in memory."""

from __future__ import annotations

import pytest
import torch

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import Batch, Split
from invlearn.training.experiment import Experiment

__all__ = ["CPU", "examples_of", "experiment_of", "start_with_nan"]

CPU = torch.device("cpu")


def experiment_of(*overrides: str) -> Experiment:
    return Experiment.from_config(as_plain(compose(overrides)))


def examples_of(experiment: Experiment, split: Split = "train", device: torch.device = CPU) -> Batch:
    """What the loss is trained on, in the first epoch where it is drawn anew for each."""
    return experiment.draws(device).training(experiment.loss.sampler, split=split)(0)


def start_with_nan(monkeypatch: pytest.MonkeyPatch, *, replica: int) -> None:
    """Let a replica start with weights from which it diverges at once."""
    initial = Experiment.encoder

    def with_nan(self: Experiment, device, **settings):
        encoder = initial(self, device, **settings)
        if str(device) != "meta":
            next(encoder.parameters()).data[replica] = torch.nan
        return encoder

    monkeypatch.setattr(Experiment, "encoder", with_nan)
