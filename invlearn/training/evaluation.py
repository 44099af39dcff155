"""Metrics of a trained stack on held-out examples."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from invlearn import metrics
from invlearn.losses import HELD_OUT_ROWS, Statistics, held_out_outputs
from invlearn.nn import AutoEncoder
from invlearn.training.experiment import Experiment

__all__ = ["METRICS", "RATES", "calibrate_replicas", "evaluate_replicas"]

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


RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""False-positive rates for which a threshold on code distances is kept."""


def calibrate_replicas(
    experiment: Experiment, model: AutoEncoder, device: torch.device
) -> list[dict[str, list[float]] | None]:
    """Code distances below which two samples count as the same entity, from validation pairs, for each replica.

    Args:
        experiment: The run; its validation pairs are drawn here.
        model: The whole stack, on ``device``.
        device: Where to compute.

    Returns:
        ``false_positive_rate``, ``threshold`` and ``true_positive_rate``, number by number; None where the encoder was
        not trained, or a distance is not finite.
    """
    if not experiment.loss.trains_encoder:
        return [None] * len(experiment.seeds)
    replicas, width = len(experiment.seeds), experiment.loss.invariant_features
    x, x_prime, true_distance = experiment.pairs("valid", device)
    rows = max(1, HELD_OUT_ROWS // replicas)
    with torch.no_grad():
        pieces = [
            metrics.code_distance(*(model.encode(part.expand(replicas, -1, -1))[..., :width] for part in parts))
            for parts in zip(x.split(rows, 1), x_prime.split(rows, 1), strict=True)
        ]
    distances, same = torch.cat(pieces, dim=1), true_distance == 0
    thresholds, shares = metrics.operating_points(distances, same.expand_as(distances), RATES)
    return [
        {"false_positive_rate": list(RATES), "threshold": threshold, "true_positive_rate": share}
        if math.isfinite(sum(threshold))
        else None
        for threshold, share in zip(thresholds.tolist(), shares.tolist(), strict=True)
    ]


def _rows(values: dict[str, Tensor], replicas: int) -> list[dict[str, Any]]:
    """A dict of ``(R,)`` or ``(1,)`` tensors as one dict of numbers per replica, None for what is not finite."""
    columns = {name: value.expand(replicas).tolist() for name, value in values.items()}
    return [
        {name: numbers[replica] if math.isfinite(numbers[replica]) else None for name, numbers in columns.items()}
        for replica in range(replicas)
    ]
