"""Models of which the best is kept: ``model=auto``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = ["Candidates"]

FEW = 150
"""Entities below which models are compared on folds: a tenth of them tells too little."""

SOME = 1_000
"""Entities below which the held-out ones are missed in training."""

FOLDS = (3, 8)
"""Fewest and most folds."""

PER_FOLD = 4
"""Entities that each fold should have, to tell one from the others."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is tried, and for how long.

    Args:
        minutes: Of computing on this machine, for all models together. A network is trained for as many epochs as the
            time that is left allows; a closed form takes what it needs.
        folds: How many folds models are compared on, at least 3; 1 compares them on one division of the entities.
            ``auto`` is 3 to 8 where there are fewer than 150 entities.
        train_on_all: Whether the best model is trained once more on all entities in the end. What is measured is of
            the models that held some out. ``auto`` does so where there are fewer than 1,000 entities.
        models: The config of each model by its name, the quickest first.

    Raises:
        ValueError: There is no time, or no model, or 2 folds.
    """

    minutes: float = 5.0
    folds: int | Literal["auto"] = "auto"
    train_on_all: bool | Literal["auto"] = "auto"
    models: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes must be above 0, got {self.minutes}")
        if self.folds != "auto" and not (self.folds == 1 or self.folds >= FOLDS[0]):
            raise ValueError(f"folds must be 1, for a single split, or at least {FOLDS[0]}, got {self.folds}")
        if not self.models:
            raise ValueError("models must hold at least one")
        for name, model in self.models.items():
            if not isinstance(model, Mapping):
                raise ValueError(f"models must hold a config with _target_ for {name}, got {model!r}")
            if not name.isidentifier():  # names a folder
                raise ValueError(f"models must have names of letters, digits and _, got {name!r}")

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be worked out from the data."""
        return "auto" not in (self.folds, self.train_on_all)

    def settled(self, entities: int, *, into_folds: bool) -> Candidates:
        """The same with each ``auto`` replaced.

        Args:
            entities: How many can be divided; 0 where the config divides them itself, and for a family.
            into_folds: Whether each fold is sure to have what is needed.
        """
        few = min(FOLDS[1], max(FOLDS[0], entities // PER_FOLD)) if into_folds and 0 < entities < FEW else 1
        return replace(
            self,
            folds=few if self.folds == "auto" else self.folds,
            train_on_all=0 < entities < SOME if self.train_on_all == "auto" else self.train_on_all,
        )

    @property
    def parts(self) -> list[str | None]:
        """``dataset.fold`` of what the models are compared on."""
        assert self.folds != "auto"
        return [None] if self.folds == 1 else [f"{number}/{self.folds}" for number in range(1, self.folds + 1)]

    @property
    def whole(self) -> str | None:
        """``dataset.fold`` of the last training; None where there is none."""
        if not self.train_on_all:
            return None
        return "all" if self.folds == 1 else f"all/{self.folds}"
