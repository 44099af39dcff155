"""Models of which the best is kept: ``model=auto``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Candidates"]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is tried, and for how long.

    Args:
        minutes: Of computing on this machine, for all models together. A network is trained for as many epochs as the
            time that is left allows.
        models: The config of each model by its name, the quickest first.

    Raises:
        ValueError: There is no time, or no model.
    """

    minutes: float = 5.0
    models: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes must be above 0, got {self.minutes}")
        if not self.models:
            raise ValueError("models must hold at least one")
        for name, model in self.models.items():
            if not isinstance(model, Mapping):
                raise ValueError(f"models must hold a config with _target_ for {name}, got {model!r}")
            if not name.isidentifier():  # names a folder
                raise ValueError(f"models must have names of letters, digits and _, got {name!r}")
