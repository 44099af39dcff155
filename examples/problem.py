"""The input of every method: samples with their entities, and two views each of unseen entities."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from invlearn.evaluation.metrics.invariance import invariance_ratio
from invlearn.evaluation.metrics.ranking import auroc, recall_at_1
from invlearn.losses.functional import code_distance

__all__ = ["Problem", "Samples", "installed", "scores"]


class Samples(NamedTuple):
    """Samples of entities."""

    x: np.ndarray
    """``(n, d)``."""
    entity: np.ndarray
    """``(n,)``."""


class Problem(NamedTuple):
    """Training, validation and test samples; no entity is in two of them."""

    train: Samples
    valid: tuple[np.ndarray, np.ndarray]
    """Two views of each validation entity, ``(m, d)`` twice, row by row."""
    test: tuple[np.ndarray, np.ndarray]
    """Two views of each test entity."""


def installed(package: str, name: str) -> Path:
    """The file of this name in an installed package, which is not imported.

    Raises:
        FileNotFoundError: There is no such file.
    """
    for file in files(package) or []:
        if file.name == name:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{package} has no file {name}")


def scores(codes: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """How well codes of two views, ``(m, C)`` twice, separate entities.

    A different pair is a first view with the second view of the next entity.
    """
    z, z_prime = (torch.from_numpy(np.asarray(part, dtype=np.float64))[None] for part in codes)
    distance = torch.cat([code_distance(z, z_prime), code_distance(z, z_prime.roll(1, 1))], dim=1)
    same = (torch.arange(distance.shape[1]) < z.shape[1])[None]
    return {
        "recall_at_1": float(recall_at_1(z, z_prime)),
        "auroc": float(auroc(distance, same)),
        "invariance_ratio": float(invariance_ratio(distance, same)),
    }
