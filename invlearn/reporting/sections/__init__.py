"""The sections of a report, each a function from a context to a section, or None if it does not apply.

A new section is a module here, and a line below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from invlearn.reporting.blocks import Section
from invlearn.reporting.context import Context, Contexts
from invlearn.reporting.sections.audit import audit
from invlearn.reporting.sections.codes import codes
from invlearn.reporting.sections.comparison import (
    metrics_beside,
    recall_beside,
    settings_beside,
    trade_off_beside,
)
from invlearn.reporting.sections.data import data
from invlearn.reporting.sections.distances import distances
from invlearn.reporting.sections.hardest import hardest
from invlearn.reporting.sections.metrics import metrics
from invlearn.reporting.sections.neighbours import neighbours
from invlearn.reporting.sections.orbits import swaps, traversals
from invlearn.reporting.sections.recall import recall
from invlearn.reporting.sections.reliability import reliability
from invlearn.reporting.sections.suspects import suspects
from invlearn.reporting.sections.trade_off import trade_off
from invlearn.reporting.sections.training import training
from invlearn.reporting.sections.usage import usage

__all__ = ["OF_ONE", "OF_SEVERAL"]

OF_ONE: Sequence[Callable[[Context], Section | None]] = (
    metrics,
    distances,
    trade_off,
    reliability,
    recall,
    codes,
    neighbours,
    traversals,
    swaps,
    hardest,
    suspects,
    audit,
    training,
    data,
    usage,
)
"""The sections for one run, in order."""

OF_SEVERAL: Sequence[Callable[[Contexts], Section | None]] = (
    metrics_beside,
    trade_off_beside,
    recall_beside,
    settings_beside,
)
"""The sections for several runs."""
