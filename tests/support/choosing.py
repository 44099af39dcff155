"""Runs of ``model=auto`` on samples of entities."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import invlearn
from invlearn.cli import main
from invlearn.data import EntitySamples, Split

SHORT = ["dataset.size=256", "dataset.valid_size=200", "dataset.test_size=200", "trainer.epochs=3"]

ONE = ["model.folds=1", "model.train_on_all=false"]
"""One division of the data, and each model trained once."""


def train(samples: Path, run: Path, *words: str) -> int:
    own = ["dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *SHORT]
    own = own[:-1] if "model=polynomial" in words else own  # which reads no trainer
    one = [] if any(word.startswith(("model=", "model.folds")) for word in words) else ONE
    return main(["train", *own, *one, *words, f"hydra.run.dir={run}"])


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


def splits_of(run: Path) -> Mapping[Split, torch.Tensor]:
    dataset = invlearn.load_run(run).experiment.data.dataset
    assert isinstance(dataset, EntitySamples)
    return dataset.splits
