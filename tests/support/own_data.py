"""Files of samples and pairs, like those of users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["SHORT", "entity_table", "pair_table"]


SHORT = [
    "dataset.size=2560",
    "dataset.valid_size=500",
    "dataset.test_size=500",
    "trainer.epochs=10",
    "trainer.warmup_steps=20",
]
"""Overrides for networks that are trained in seconds."""


def entity_table(entities: int = 40, copies: int = 3, dim: int = 4, noise: float = 0.01, seed: int = 0) -> pd.DataFrame:
    """Circularly shifted, noisy copies: columns ``id``, ``f0`` to ``f{d-1}`` and ``place``, the rows shuffled."""
    rng = np.random.default_rng(seed)
    signals = rng.uniform(-1, 1, (entities, dim)).repeat(copies, axis=0)
    shifted = np.stack([np.roll(x, rng.integers(dim)) for x in signals])
    table = pd.DataFrame(shifted + noise * rng.standard_normal(shifted.shape), columns=[f"f{i}" for i in range(dim)])
    table.insert(0, "id", [f"{index:03}" for index in np.arange(entities).repeat(copies)])
    table["place"] = "here"
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def pair_table(pairs: int = 120, dim: int = 4, seed: int = 0) -> pd.DataFrame:
    """Pairs, same and different in turn: columns ``x_0`` ..., ``x_prime_0`` ... and ``d``."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (pairs, dim))
    x_prime = np.where((np.arange(pairs) % 2 == 1)[:, None], rng.uniform(-1, 1, (pairs, dim)), np.roll(x, 1, axis=1))
    names = [f"{name}_{index}" for name in ("x", "x_prime") for index in range(dim)]
    return pd.DataFrame(np.hstack([x, x_prime]), columns=names).assign(d=np.where(np.arange(pairs) % 2 == 1, 1.5, 0.0))


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write a table in the format of the path."""
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path
