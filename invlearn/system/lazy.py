"""Packages that are imported when they are first used: a training that needs none of them starts sooner."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["pd"]


class _Lazy(ModuleType):
    """A module of which each use is looked up in the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of every module, by doctest and inspect for example
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import pandas as pd
else:
    pd = _Lazy("pandas")
