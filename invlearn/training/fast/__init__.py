"""The fast path of training: it computes the same as the plain one, up to rounding, with less overhead."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from invlearn.data import Batch
from invlearn.losses import Loss, Statistics
from invlearn.nn import AutoEncoder
from invlearn.training.fast.graphs import GraphedSteps
from invlearn.training.fast.objectives import hand_derived
from invlearn.training.fast.parameters import ParameterGroup, clip_gradients
from invlearn.training.fast.passes import is_known

__all__ = [
    "GraphedSteps",
    "Objective",
    "ParameterGroup",
    "clip_gradients",
    "fast_objective",
]

Objective = Callable[[Batch, Statistics], dict[str, Tensor]]
"""From a batch ``(R, B, ...)`` and the statistics for the loss to the terms of the loss, ``(R,)`` each.

It writes the gradients of the trained parameters to their ``grad``."""


def fast_objective(loss: Loss, model: AutoEncoder, batch: int, samples: int = 1) -> Objective | None:
    """The loss with hand-derived gradients; None if the loss, a layer, or the order of layers is not supported.

    Args:
        loss: The loss.
        model: The model; its trained parameters have gradients already, which are overwritten.
        batch: Examples B of a batch.
        samples: Samples per example.
    """
    plain = type(model).encode is AutoEncoder.encode and type(model).decode is AutoEncoder.decode
    if not (plain and model.components is None and is_known(model.encoder) and is_known(model.decoder)):
        return None
    return hand_derived(loss, model, batch, samples)
