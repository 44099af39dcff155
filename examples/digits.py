"""Handwritten digits, 8 by 8 pixels, from scikit-learn: which images are one digit, mirrored or with shifted pixels?

Trained on images of the digits 0 to 7; tested on those of 8 and 9, which are unseen in training.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_digits

from examples.problem import Problem, Samples

__all__ = ["PROBLEMS"]

COPIES = 8
"""Shifted training samples of each image; there are only four mirrored ones."""

VALID = 200
"""Number of validation images."""


def mirrored(images: np.ndarray) -> np.ndarray:
    """The four mirror images of each, ``(n, 4, 64)``: unchanged, left to right, upside down, both."""
    square = images.reshape(-1, 8, 8)
    views = [square, square[:, :, ::-1], square[:, ::-1], square[:, ::-1, ::-1]]
    return np.stack(views, axis=1).reshape(len(images), 4, 64)


def shifted(images: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct circular shifts of the 64 pixels of each image, ``(n, copies, 64)``."""
    shifts = rng.permuted(np.tile(np.arange(64), (len(images), 1)), axis=1)[:, :copies, None]
    return np.take_along_axis(images[:, None].repeat(copies, 1), (np.arange(64) - shifts) % 64, axis=2)


def _problem(seed: int, views: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Problem:
    rng = np.random.default_rng(seed)
    digits = load_digits()
    images = digits.data / 16
    seen = rng.permutation(images[digits.target < 8])
    train = views(seen[VALID:], rng)

    def two_views(of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = rng.permuted(np.tile(np.arange(train.shape[1]), (len(of), 1)), axis=1)[:, :2]
        chosen = np.take_along_axis(views(of, rng), both[:, :, None], axis=1)
        return chosen[:, 0], chosen[:, 1]

    return Problem(
        train=Samples(train.reshape(-1, 64), np.arange(len(train)).repeat(train.shape[1])),
        valid=two_views(seen[:VALID]),
        test=two_views(images[digits.target >= 8]),
    )


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "digits-mirrored": lambda seed: _problem(seed, lambda images, rng: mirrored(images)),
    "digits-shifted": lambda seed: _problem(seed, lambda images, rng: shifted(images, COPIES, rng)),
}
"""Problems by name; the seed draws the split and the views."""
