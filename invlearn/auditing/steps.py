"""The steps of an audit, and how long they take a slow encoder: estimates from the time of one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from invlearn.auditing.encoders import Encoder
from invlearn.auditing.finite import swaps
from invlearn.auditing.metamers import STEPS, adam_steps
from invlearn.auditing.search import MOST_PLANES, MOST_SINGLES, SAMPLES, STARTS

__all__ = ["Step", "Tell", "of_attack", "of_finite", "of_symmetries"]

MINUTE = 60


class Step(NamedTuple):
    """A step that is about to start."""

    name: str
    seconds: float = 0.0
    """How long its calls of the encoder take at most, about."""

    def __str__(self) -> str:
        minutes = self.seconds / MINUTE
        lasts = f"{minutes:.0f} minutes" if minutes >= 2 else f"{self.seconds:.0f} seconds"
        return f"{self.name}: up to about {lasts}"


Tell = Callable[[Step], None]
"""Is told each step before it starts."""


def of_symmetries(encoder: Encoder, samples: int, directions: int) -> Step:
    """The search for continuous symmetries: derivatives at some samples along some directions."""
    return Step("continuous symmetries", encoder.seconds(samples * _calls_of_slopes(encoder, directions), 6))


def of_finite(encoder: Encoder, dim: int, parts: list[int], *, search: bool) -> Step:
    """Finite symmetries: each candidate is tried on a few samples, and a search takes many starts.

    Args:
        encoder: The encoder.
        dim: Number of features d.
        parts: Dimensions of planes and single directions.
        search: Whether there is a search.
    """
    tried = 2 * dim + len(swaps(dim))
    seconds = encoder.seconds(16 * tried, tried)
    planes, singles = parts.count(2), parts.count(1)
    if search and planes <= MOST_PLANES and singles <= MOST_SINGLES:
        calls = 2**singles * STEPS * 3
        seconds += encoder.seconds(calls * STARTS * SAMPLES * planes, calls)
    return Step("finite symmetries", seconds)


def of_attack(encoder: Encoder, attacks: int, dim: int) -> Step:
    """The attack: Adam, then Levenberg and Marquardt's method."""
    by_adam = 0 if encoder.derivatives == "differences" else 2 * adam_steps(dim)
    rows = by_adam + STEPS * (1 + _calls_of_slopes(encoder, dim))
    return Step(f"{attacks:,} attacks", encoder.seconds(attacks * rows, by_adam + 3 * STEPS))


def _calls_of_slopes(encoder: Encoder, directions: int) -> int:
    return directions * (2 if encoder.derivatives == "differences" else 1)
