"""Several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from invlearn.evaluation.metrics import METRICS
from invlearn.reporting.blocks import Section, Table
from invlearn.reporting.context import Context
from invlearn.reporting.texts import number

__all__ = ["comparison"]


def comparison(contexts: Sequence[Context]) -> Section:
    """Their metrics."""
    found = [context.metrics[0] for context in contexts]
    shown = [
        name for name, metric in METRICS.items() if metric.shown and any(row.get(name) is not None for row in found)
    ]
    rows = [
        [context.name, *(number(row.get(name), METRICS[name].digits) for name in shown)]
        for context, row in zip(contexts, found, strict=True)
    ]
    return Section("Metrics", [Table("Metrics on unseen data", ["run", *shown], rows)])
