"""Learn invariances from pairs of samples: ``train`` a run, ``load_run`` it, encode.

Both names are loaded on first use, so that ``import invlearn`` stays light.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invlearn.commands.train import train
    from invlearn.training.trained import load_run

__all__ = ["__version__", "load_run", "train"]

__version__ = version("invlearn")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "train":
        from invlearn.commands.train import train

        return train
    if name == "load_run":
        from invlearn.training.trained import load_run

        return load_run
    raise AttributeError(f"module 'invlearn' has no attribute {name!r}")
