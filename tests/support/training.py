"""Experiments and their examples, in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import Batch, EntitySamples, Split
from invlearn.training.experiment import Experiment

__all__ = ["CPU", "entity_samples", "examples_of", "experiment_of", "start_with_nan"]

CPU = torch.device("cpu")


def experiment_of(*overrides: str) -> Experiment:
    return Experiment.from_config(as_plain(compose(overrides)))


def examples_of(experiment: Experiment, split: Split = "train", device: torch.device = CPU) -> Batch:
    """The training examples of the loss in the first epoch."""
    return experiment.draws(device).training(experiment.loss.sampler, split=split)(0)


def entity_samples(x: Tensor) -> EntitySamples:
    """A dataset of samples ``(E, k, d)``; a fifth of the entities each for test and validation."""
    entities, samples, _ = x.shape
    order, fifth = torch.arange(entities), entities // 5
    return EntitySamples(
        samples=x.flatten(0, 1),
        entity=order.repeat_interleave(samples),
        splits={"test": order[:fifth], "valid": order[fifth : 2 * fifth], "train": order[2 * fifth :]},
        distance="binary",
        samples_per_entity=max(2, samples),
        size=4_000,
        valid_size=4_000,
        test_size=1_000,
        seed=0,
    )


def start_with_nan(monkeypatch: pytest.MonkeyPatch, *, replica: int) -> None:
    """Give a replica initial weights that make it diverge at once."""
    initial = Experiment.encoder

    def with_nan(self: Experiment, device, **settings):
        encoder = initial(self, device, **settings)
        if str(device) != "meta":
            next(encoder.parameters()).data[replica] = torch.nan
        return encoder

    monkeypatch.setattr(Experiment, "encoder", with_nan)
