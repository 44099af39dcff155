"""The fast path of training: what the plain one computes, to rounding, with less beside the arithmetic."""

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
"""From a batch ``(R, B, ...)`` and what the loss is given beside it to the terms of the loss, ``(R,)`` each.

It leaves the gradients of the trained parameters in their ``grad``."""


def fast_objective(loss: Loss, model: AutoEncoder, batch: int, samples: int = 1) -> Objective | None:
    """The loss with hand-derived gradients, or None if the loss, a layer, or the order of layers is not known here.

    Args:
        loss: The loss.
        model: Its trained parameters have gradients already, which are overwritten.
        batch: Examples B of a batch.
        samples: Samples of each.
    """
    plain = type(model).encode is AutoEncoder.encode and type(model).decode is AutoEncoder.decode
    if not (plain and model.components is None and is_known(model.encoder) and is_known(model.decoder)):
        return None
    return hand_derived(loss, model, batch, samples)
