"""Outlines of leaves (OSULeaf, from the files in the aeon package) with arbitrary starting points.

Trained on the leaves of the archive's training half; tested on those of its test half.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import resample

from examples.problem import Problem, Samples, installed

__all__ = ["PROBLEMS", "outlines"]

POINTS = 32
"""Points to which an outline of 427 is resampled."""

COPIES = 8
"""Training samples of each leaf, with different starting points."""

VALID = 40
"""Number of validation leaves."""


def outlines(part: str) -> np.ndarray:
    """Distances of an outline from its centre, ``(n, 427)``, normalised in the archive to mean 0 and variance 1.

    Args:
        part: ``TRAIN`` or ``TEST``.
    """
    text = installed("aeon", f"OSULeaf_{part}.ts").read_text(encoding="utf-8")
    lines = text.partition("@data")[2].split()
    return np.array([[float(value) for value in line.partition(":")[0].split(",")] for line in lines])


def views(leaves: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Each outline from ``count`` random starting points, then resampled, ``(n, count, POINTS)``.

    Resampling keeps only the lowest frequencies, so that higher ones do not alias.
    """
    length = leaves.shape[1]
    starts = rng.integers(length, size=(len(leaves), count, 1))
    rolled = np.take_along_axis(leaves[:, None], (np.arange(length) + starts) % length, axis=2)
    return resample(rolled, POINTS, axis=2)


def _problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    seen, unseen = rng.permutation(outlines("TRAIN")), outlines("TEST")
    train = views(seen[VALID:], COPIES, rng)

    def two_views(of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = views(of, 2, rng)
        return both[:, 0], both[:, 1]

    return Problem(
        train=Samples(train.reshape(-1, POINTS), np.arange(len(train)).repeat(COPIES)),
        valid=two_views(seen[:VALID]),
        test=two_views(unseen),
    )


PROBLEMS: dict[str, Callable[[int], Problem]] = {"leaves": _problem}
"""Problems by name; the seed draws the split and the starting points."""
