"""The metrics: each module here declares some in a list ``METRICS``, which is found automatically.

The modules import torch only when they compute: a table of many runs needs only their names.
"""

from importlib import import_module
from pkgutil import iter_modules

from invlearn.evaluation.metric import Metric

__all__ = ["METRICS"]


def _declared() -> dict[str, Metric]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    declared = [metric for module in sorted(modules, key=lambda module: module.ORDER) for metric in module.METRICS]
    return {metric.name: metric for metric in declared}


METRICS: dict[str, Metric] = _declared()
"""All metrics, by name, in the order in which they are shown."""
