"""Noisy signals whose values move along a hidden cycle of their features: how much of them does it take?

Nobody could write down the distortion: the cycle is drawn with the signals, and no method is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.problem import Problem, Samples

__all__ = ["Amount", "modulus", "problem"]

DIM = 18
"""Features of a signal."""

VALID, TEST = 200, 1_000
"""Entities to choose settings by, and to test with, on top of those to learn from."""


@dataclass(frozen=True)
class Amount:
    """How much there is to learn from, and how good it is."""

    entities: int = 300
    copies: int = 4
    """Samples of each."""
    noise: float = 0.05
    """Standard deviation of what is added to each value; signals are uniform on [-1, 1], so theirs is 0.58."""
    wrong: float = 0.0
    """Share of samples that are said to be of another entity."""


def problem(amount: Amount, seed: int) -> Problem:
    """Samples from a seed, which draws the cycle too. Labels are as often wrong in validation, never in the test."""
    rng = np.random.default_rng([seed, DIM])
    place = np.argsort(_cycle(rng))

    def views(entities: int, copies: int) -> np.ndarray:
        """``(entities, copies, DIM)``."""
        signals = rng.uniform(-1, 1, (entities, 1, DIM)).repeat(copies, axis=1)
        steps = rng.integers(DIM, size=(entities, copies, 1))
        moved = np.take_along_axis(signals, (np.arange(DIM) - steps) % DIM, axis=2)[..., place]
        return moved + amount.noise * rng.standard_normal(moved.shape)

    train, valid, test = views(amount.entities, amount.copies), views(VALID, 2), views(TEST, 2)
    entity = np.arange(amount.entities).repeat(amount.copies)
    mistaken = rng.random(len(entity)) < amount.wrong
    entity[mistaken] = rng.integers(amount.entities, size=mistaken.sum())
    mistaken = np.flatnonzero(rng.random(VALID) < amount.wrong)
    valid[mistaken, 1] = valid[np.roll(mistaken, 1), 1]
    return Problem(
        train=Samples(train.reshape(-1, DIM), np.unique(entity, return_inverse=True)[1]),
        valid=(valid[:, 0], valid[:, 1]),
        test=(test[:, 0], test[:, 1]),
    )


def modulus(x: np.ndarray, seed: int) -> np.ndarray:
    """|DFT| along the cycle of ``problem(amount, seed)``, ``(n, 18)`` to ``(n, 10)``: what who knew it would take."""
    return np.abs(np.fft.rfft(x[:, _cycle(np.random.default_rng([seed, DIM]))]))


def _cycle(rng: np.random.Generator) -> np.ndarray:
    """Features in the order in which values go through them."""
    return rng.permutation(DIM)
