"""Learn invariances from pairs of samples: ``train``, ``load_run``, ``audit``, ``report`` and ``read_results``.

These names are loaded on first use, so that ``import invlearn`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invlearn.auditing.api import audit
    from invlearn.reporting.api import report
    from invlearn.runs.aggregate import read_results
    from invlearn.runs.train import train
    from invlearn.runs.trained import load_run

    __version__: str

__all__ = ["__version__", "audit", "load_run", "read_results", "report", "train"]

_HOMES = {
    "audit": "invlearn.auditing.api",
    "load_run": "invlearn.runs.trained",
    "read_results": "invlearn.runs.aggregate",
    "report": "invlearn.reporting.api",
    "train": "invlearn.runs.train",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("invlearn")
    raise AttributeError(f"module 'invlearn' has no attribute {name!r}")
