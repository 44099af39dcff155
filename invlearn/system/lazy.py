"""Packages imported on first use, so that a run that does not need them starts sooner."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["pd"]


class _Lazy(ModuleType):
    """A module that forwards attribute access to the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # doctest and inspect, for example, ask every module for these
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import pandas as pd
else:
    pd = _Lazy("pandas")
