"""Metrics of a trained stack on held-out examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from invlearn.data import OfEntities
from invlearn.evaluation import metrics
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
    "recall_among",
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
        orbits = experiment.orbits(device)
        values["recall_among"] = torch.tensor([orbits[0].shape[1]])
        with torch.no_grad():
            codes = [model.encode(x.expand(replicas, -1, -1)) for x in orbits]
        values["recall_at_1"] = metrics.recall_at_1(*(z[..., : loss.invariant_features] for z in codes))
    blank = dict.fromkeys(METRICS)
    constants = loss.constants(examples, statistics)
    return [{**blank, **row} for row in _rows(values, replicas)], _rows(constants, replicas)


RATES = (0.0, *(digit * 10.0**power for power in range(-6, -1) for digit in (1, 2, 5)), 0.1, 0.2)
"""False-positive rates for which a threshold on code distances is kept, as far as there are pairs enough to tell."""

CALIBRATED = 2_048
"""Validation samples at most whose pairs tell where the threshold is."""


def calibrate_replicas(experiment: Experiment, model: AutoEncoder, device: torch.device) -> list[dict[str, Any] | None]:
    """Code distances below which two samples count as the same entity, for each replica.

    They come from all pairs of validation samples where it is known which are of one entity, else from given pairs.

    Args:
        experiment: The run; its validation pairs are drawn here.
        model: The whole stack, on ``device``.
        device: Where to compute.

    Returns:
        ``false_positive_rate``, ``threshold`` and ``true_positive_rate``, number by number, and how many pairs of
        ``different_entities`` they rest on; None where the encoder was not trained, or a distance is not finite.
    """
    if not experiment.loss.trains_encoder:
        return [None] * len(experiment.seeds)
    return [_calibration(*pairs) for pairs in _compared(experiment, model, device)]


def _calibration(distances: Tensor, same: Tensor, different: int) -> dict[str, Any] | None:
    """The thresholds of one replica from what ``_compared`` has of it."""
    if not bool(distances.isfinite().all()):
        return None
    rates = [rate for rate in RATES if not 0 < rate * different < 1]
    thresholds, shares = metrics.operating_points(distances[None], same[None], rates)
    points = {"threshold": thresholds[0].tolist(), "true_positive_rate": shares[0].tolist()}
    return {"false_positive_rate": rates, **points, "different_entities": different}


def _compared(experiment: Experiment, model: AutoEncoder, device: torch.device) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Of each replica: code distances ``(N,)``, whether pairs are the same, and how many pairs of others there are."""
    width = experiment.loss.invariant_features
    if isinstance(experiment.dataset, OfEntities):
        x, entity = experiment.labelled("valid", device, most=CALIBRATED)
        codes = _encoded(model, x, width, len(experiment.seeds))
        first, second = torch.triu_indices(x.shape[1], x.shape[1], offset=1, device=device)
        for z, e in zip(codes, entity.expand(len(codes), -1), strict=True):
            distances = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")
            # Pairs of samples of the same two entities stand or fall together.
            yield distances[first, second], e[first] == e[second], math.comb(len(e.unique()), 2)
    else:
        x, x_prime, true_distance = experiment.pairs("valid", device)
        codes = [_encoded(model, part, width, len(experiment.seeds)) for part in (x, x_prime)]
        same = (true_distance == 0).expand(len(codes[0]), -1)
        for pairs in zip(metrics.code_distance(*codes), same, strict=True):
            yield *pairs, int((~pairs[1]).sum())


def _encoded(model: AutoEncoder, x: Tensor, width: int, replicas: int) -> Tensor:
    """The first features of the codes of samples ``(R, N, d)`` or ``(1, N, d)``, ``(R, N, width)``, piece by piece."""
    with torch.no_grad():
        pieces = x.split(max(1, HELD_OUT_ROWS // replicas), dim=1)
        return torch.cat([model.encode(piece.expand(replicas, -1, -1))[..., :width] for piece in pieces], dim=1)


def _rows(values: dict[str, Tensor], replicas: int) -> list[dict[str, Any]]:
    """A dict of ``(R,)`` or ``(1,)`` tensors as one dict of numbers per replica, None for what is not finite."""
    columns = {name: value.expand(replicas).tolist() for name, value in values.items()}
    return [
        {name: numbers[replica] if math.isfinite(numbers[replica]) else None for name, numbers in columns.items()}
        for replica in range(replicas)
    ]
