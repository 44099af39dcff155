"""The declaration of a metric: its name, computation and display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from invlearn.evaluation.measured import Measured

__all__ = ["Metric"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number per replica on held-out data.

    A new metric is a module of ``invlearn.evaluation.metrics`` with a list ``METRICS``.

    Args:
        name: Its key in run.json.
        compute: From measurements to ``(R,)`` or ``(1,)``; NaN for 0/0 or without data to measure.
        needs: Requirements, without which the metric is null: ``encoder``, ``decoder`` (they were trained),
            ``pairs``, ``gallery`` (every dataset has them, for a trained encoder), ``targets`` (codes known in
            advance), ``block:NAME`` of those codes, ``term:NAME`` of the loss, ``state:NAME`` of ``Loss.at``.
        baseline: The value of the best constant prediction, ``(R,)`` or ``(1,)``, if that is meaningful.
        facts: Statistics of the training data that the baseline needs.
        better: Whether less or more is better.
        digits: Number of printed digits.
        every_epoch: Whether it is computed after every epoch, on the examples that the loss is validated on.
        shown: Whether the table at the end of a run has a line for it.
    """

    name: str
    compute: Callable[[Measured], Tensor]
    needs: tuple[str, ...]
    baseline: Callable[[Measured], Tensor] | None = None
    facts: tuple[str, ...] = ()
    better: Literal["lower", "higher"] = "lower"
    digits: int = 2
    every_epoch: bool = False
    shown: bool = True
