"""Metrics of a trained stack on held-out examples."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from invlearn.losses import Examples, Loss, Statistics, held_out_outputs
from invlearn.nn import AutoEncoder

__all__ = ["METRICS", "evaluate_replicas"]

METRICS = (
    "mse_reconstruction",
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
"""Every metric a run reports; those that do not apply to its loss are null."""


def evaluate_replicas(
    loss: Loss, model: AutoEncoder, examples: Examples, statistics: Statistics, replicas: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Metrics of each replica, and beside them what a constant prediction gets.

    Args:
        loss: The loss the model was trained with.
        model: A stack of ``replicas`` replicas.
        examples: Held-out examples, ``(R, N, ...)`` or ``(1, N, ...)``.
        statistics: What the loss knows of the training examples.
        replicas: R.

    Returns:
        Two lists of R dicts of floats (``collapsed``: bool); None for a metric that does not apply.
    """
    outputs = held_out_outputs(loss, model, examples, replicas)
    values = {
        **loss.terms(outputs, examples, statistics),
        **loss.errors(outputs, examples),
        **loss.evaluate(outputs, examples),
    }
    constants = loss.constants(examples, statistics)
    blank = dict.fromkeys(METRICS)
    return (
        [{**blank, **row} for row in _rows(values, replicas)],
        _rows(constants, replicas),
    )


def _rows(values: dict[str, Tensor], replicas: int) -> list[dict[str, Any]]:
    """A dict of ``(R,)`` or ``(1,)`` tensors as one dict of numbers per replica, None for NaN."""
    columns = {name: value.expand(replicas).tolist() for name, value in values.items()}
    return [
        {name: None if math.isnan(numbers[replica]) else numbers[replica] for name, numbers in columns.items()}
        for replica in range(replicas)
    ]
