"""Synthetic customers with missing values, and runs trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import invlearn
from invlearn.runs.trained import TrainedRun
from tests.support.own_data import write

DIM = 8
FEATURES = [f"f{index}" for index in range(DIM)]


def customers(entities: int, *, missing: float = 0.0, copies: int = 4, seed: int = 0) -> pd.DataFrame:
    """Samples of few factors, in units of their own, with little noise within an entity; a share of them is missing."""
    population, rng = np.random.default_rng(0), np.random.default_rng([seed, entities])
    loadings = population.standard_normal((3, DIM))
    unit, place = 10.0 ** population.uniform(-1, 4, DIM), population.uniform(-3, 3, DIM)
    x = (rng.standard_normal((entities, 3)) @ loadings + 0.3 * rng.standard_normal((entities, DIM))).repeat(copies, 0)
    x = unit * (place + x + 0.05 * rng.standard_normal(x.shape))
    x[rng.random(x.shape) < missing] = np.nan
    x[np.isnan(x).all(axis=1), 0] = unit[0] * place[0]
    return pd.DataFrame(x, columns=FEATURES).assign(id=[f"{index:04}" for index in np.arange(entities).repeat(copies)])


def trained(table: pd.DataFrame, folder: Path, *words: str) -> TrainedRun:
    folder.mkdir(exist_ok=True)
    overrides = [f"dataset.path={write(table, folder / 'samples.csv')}", "dataset=entities", "dataset.entity=id"]
    return invlearn.train([*overrides, *words], folder / "run")
