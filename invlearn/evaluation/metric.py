"""What a metric is: a name, how it is computed, and how it is read."""

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
    """One number of each replica on held-out data.

    A new metric is a module of ``invlearn.evaluation.metrics`` with a list ``METRICS``.

    Args:
        name: Its key in run.json.
        compute: From what was measured to ``(R,)`` or ``(1,)``; NaN where it is 0/0 or has nothing to measure.
        needs: What must be available, else the metric is null: ``encoder``, ``decoder`` (they were trained),
            ``pairs``, ``gallery`` (every dataset has them, for a trained encoder), ``targets`` (codes known in
            advance), ``block:NAME`` of those codes, ``term:NAME`` of the loss, ``state:NAME`` of ``Loss.at``.
        baseline: What the best constant prediction gets, ``(R,)`` or ``(1,)``, where that says something.
        facts: Of the training data, that the baseline needs.
        better: Whether less or more is better.
        digits: How many are printed.
        every_epoch: Whether it is followed during training, on the examples that the loss is validated on.
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
