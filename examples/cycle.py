"""Noisy signals whose values move along a hidden cycle of their features: how many are needed?

No method knows the distortion: the cycle is drawn with the signals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.problem import Problem, Samples

__all__ = ["Amount", "modulus", "problem"]

DIM = 18
"""Features of a signal."""

VALID, TEST = 200, 1_000
"""Entities for validation and for the test, in addition to the training entities."""


@dataclass(frozen=True)
class Amount:
    """Amount and quality of training data."""

    entities: int = 300
    copies: int = 4
    """Samples of each entity."""
    noise: float = 0.05
    """Standard deviation of the noise; signals are uniform on [-1, 1], so their deviation is 0.58."""
    wrong: float = 0.0
    """Share of samples with a wrong label."""


def problem(amount: Amount, seed: int) -> Problem:
    """Samples from a seed, which also draws the cycle. Validation has as many wrong labels, the test none."""
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
    """|DFT| along the cycle of ``problem(amount, seed)``, ``(n, 18)`` to ``(n, 10)``: the known invariant."""
    return np.abs(np.fft.rfft(x[:, _cycle(np.random.default_rng([seed, DIM]))]))


def _cycle(rng: np.random.Generator) -> np.ndarray:
    """Features in the order of the cycle."""
    return rng.permutation(DIM)
