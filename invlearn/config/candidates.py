"""The candidates of ``model=auto``; the best one is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = ["JOINED", "Candidates"]

JOINED = "joined"
"""Name of the joined codes of the two best models."""

FEW = 150
"""With fewer entities models are compared on folds, because a tenth of them is too few."""

SOME = 1_000
"""With fewer entities the best model is trained again on all of them."""

FOLDS = (3, 8)
"""Fewest and most folds."""

PER_FOLD = 4
"""Entities that each fold should have, so that finding one of them is not trivial."""

MOST_ASIDE = 0.3
"""Largest share of the time that is set aside for the end."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The models to try, and their time budget.

    Args:
        minutes: Time on this machine for all models together, to the end. A network is trained for as many epochs as
            the remaining time allows; a closed form takes the time it needs.
        folds: Number of folds to compare models on, at least 3; 1 compares them on a single split of the entities.
            ``auto`` is 3 to 8 for fewer than 150 entities.
        train_on_all: Whether to train the best model once more on all entities at the end. The metrics are those of
            the models that held some out. ``auto`` does so for fewer than 1,000 entities.
        join: Whether to try the codes of the two best models side by side too.
        models: The config of each model by name, the fastest first.

    Raises:
        ValueError: There is no time, or no model, or 2 folds, or a model has a name that is not possible.
    """

    minutes: float = 5.0
    folds: int | Literal["auto"] = "auto"
    train_on_all: bool | Literal["auto"] = "auto"
    join: bool = True
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
            if not (isinstance(name, str) and name.isidentifier()):  # it becomes the name of a folder
                raise ValueError(f"models must have names of letters, digits and _, got {name!r}")
            if name == JOINED:
                raise ValueError(f"models must not have the name {JOINED}, which is that of their joined codes")

    @property
    def is_settled(self) -> bool:
        """Whether no ``auto`` is left to resolve from the data."""
        return "auto" not in (self.folds, self.train_on_all)

    def settled(self, entities: int, *, into_folds: bool) -> Candidates:
        """The same with each ``auto`` resolved.

        Args:
            entities: Number of entities that can be divided; 0 if the config sets the division, and for a family.
            into_folds: Whether every fold is usable.
        """
        few = min(FOLDS[1], max(FOLDS[0], entities // PER_FOLD)) if into_folds and 0 < entities < FEW else 1
        return replace(
            self,
            folds=few if self.folds == "auto" else self.folds,
            train_on_all=0 < entities < SOME if self.train_on_all == "auto" else self.train_on_all,
        )

    @property
    def parts(self) -> list[str | None]:
        """``dataset.fold`` of the divisions on which models are compared."""
        assert self.folds != "auto"
        return [None] if self.folds == 1 else [f"{number}/{self.folds}" for number in range(1, self.folds + 1)]

    def set_aside(self, seconds: float) -> float:
        """About the time from the last network to the end, in seconds, if a closed form is chosen.

        Args:
            seconds: Time of the closed form on all divisions.
        """
        if not self.whole:
            return 0.0
        # With folds, its settings are chosen on each of them again, and codes joined and simple methods fitted.
        again = seconds if len(self.parts) > 1 else 0.0
        return min(again + seconds / len(self.parts), MOST_ASIDE * 60 * self.minutes)

    @property
    def whole(self) -> str | None:
        """``dataset.fold`` of the final training; None if there is none."""
        if not self.train_on_all:
            return None
        return "all" if self.folds == 1 else f"all/{self.folds}"
