"""Metrics of a trained stack on held-out examples."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from invlearn import metrics
from invlearn.losses import Statistics, held_out_outputs
from invlearn.nn import AutoEncoder
from invlearn.training.experiment import Experiment

__all__ = ["METRICS", "evaluate_replicas"]

METRICS = (
    "mse_reconstruction",
    "mse_code",
    "mse_modulus",
    "mse_phase",
    "mse_sine",
    "mse_cosine",
    "mse_invariance",
    "mse_invariance_same",
    "mse_invariance_different",
    "loss_invariance",
    "invariance_ratio",
    "auroc",
    "recall_at_1",
    "distance_spearman",
    "collapsed",
)
"""The metrics that every run reports, beside the terms of its own loss; those that do not apply are null."""


def evaluate_replicas(
    experiment: Experiment, model: AutoEncoder, statistics: Statistics, device: torch.device
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Metrics of each replica on the test split, and beside them what a constant prediction gets.

    Args:
        experiment: The run; its test data are drawn here.
        model: The whole stack, on ``device``.
        statistics: What the loss knows of the training examples.
        device: Where to compute.

    Returns:
        Two lists of R dicts of floats (``collapsed``: bool); None for a metric that does not apply.
    """
    loss, replicas = experiment.loss, len(experiment.seeds)
    statistics = loss.at(1.0, statistics)
    examples = experiment.examples("test", device)
    outputs = held_out_outputs(loss, model, examples, replicas)
    values = {
        **loss.terms(outputs, examples, statistics),
        **loss.errors(outputs, examples),
        **loss.evaluate(outputs, examples),
    }
    if loss.trains_encoder:
        with torch.no_grad():
            codes = [model.encode(x.expand(replicas, -1, -1)) for x in experiment.orbits(device)]
        values["recall_at_1"] = metrics.recall_at_1(*(z[..., : loss.invariant_features] for z in codes))
    blank = dict.fromkeys(METRICS)
    constants = loss.constants(examples, statistics)
    return [{**blank, **row} for row in _rows(values, replicas)], _rows(constants, replicas)


def _rows(values: dict[str, Tensor], replicas: int) -> list[dict[str, Any]]:
    """A dict of ``(R,)`` or ``(1,)`` tensors as one dict of numbers per replica, None for what is not finite."""
    columns = {name: value.expand(replicas).tolist() for name, value in values.items()}
    return [
        {name: numbers[replica] if math.isfinite(numbers[replica]) else None for name, numbers in columns.items()}
        for replica in range(replicas)
    ]
