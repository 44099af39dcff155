"""A hidden cyclic shift: samples of an entity are shifts of one signal, behind a random rotation of all features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from invlearn.data import EntitySamples

__all__ = ["Cycle"]

SAMPLES = 4
"""Samples per entity."""

VALID = 500
"""Validation entities."""

TEST = 1_000
"""Held-out entities."""

BLOCK = 500
"""Entities drawn at a time, so that drawing takes little additional memory."""


@dataclass(frozen=True)
class Cycle:
    """Training, validation and test samples of a hidden cycle.

    Args:
        dim: Features d.
        entities: Training entities.
        noise: Standard deviation of the noise of each feature; signals have variance 1.
        seed: Seed of everything.
    """

    dim: int
    entities: int
    noise: float = 0.05
    seed: int = 0

    @cached_property
    def _rotation(self) -> np.ndarray:
        """The mixing, ``(d, d)``."""
        return np.linalg.qr(self._generator(0).standard_normal((self.dim, self.dim)))[0]

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])

    def samples(self, split: Literal["train", "valid", "test"]) -> np.ndarray:
        """Samples of a split, sorted by entity, ``(n, d)``."""
        stream, count = {"train": (1, self.entities), "valid": (2, VALID), "test": (3, TEST)}[split]
        generator = self._generator(stream)
        x = np.empty((count * SAMPLES, self.dim))
        for start in range(0, count, BLOCK):
            signals = generator.standard_normal((min(BLOCK, count - start), 1, self.dim))
            shifts = generator.integers(self.dim, size=(len(signals), SAMPLES, 1))
            shifted = np.take_along_axis(signals, (np.arange(self.dim) + shifts) % self.dim, axis=2)
            shifted += self.noise * generator.standard_normal(shifted.shape)
            x[start * SAMPLES :][: len(signals) * SAMPLES] = shifted.reshape(-1, self.dim) @ self._rotation.T
        return x

    @staticmethod
    def entity(x: np.ndarray) -> np.ndarray:
        """The entity of each sample of a split, ``(n,)``."""
        return np.arange(len(x)) // SAMPLES

    def dataset(self) -> EntitySamples:
        """Training and validation entities as a dataset of invlearn."""
        x = np.concatenate([self.samples("train"), self.samples("valid")])
        numbers = torch.arange(self.entities + VALID)
        return EntitySamples(
            samples=torch.from_numpy(x),
            entity=torch.from_numpy(self.entity(x)),
            splits={"train": numbers[: self.entities], "valid": numbers[self.entities :]},
            distance="binary",
            samples_per_entity=SAMPLES,
            size=10_000,
            valid_size=6_000,
            test_size=6_000,
            seed=self.seed,
        )
