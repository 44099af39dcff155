"""Run directories that nobody trained, and changes to others that look as if invlearn had written them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from invlearn.config import config_hash
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST


def write_run(folder: Path, depth: int, seeds: dict[int, float | None], status: str = "completed", **more) -> None:
    """Write a run of an extended network of that depth, each seed with its metrics, or none where it diverged."""
    folder.mkdir(parents=True)
    replicas = [
        {"seed": seed, "diverged": value is None, "metrics": {"mse_invariance": value, "auroc": value}}
        for seed, value in seeds.items()
    ]
    record = {"status": status, "seeds": list(seeds), **({"replicas": replicas} if status == "completed" else {})}
    directory = RunDirectory(folder)
    directory.write_record(record)
    directory.write_config(
        {
            "dataset": {"_target_": "invlearn.data.Shift", "dim": 10},
            "model": {"_target_": "invlearn.nn.ExtendedAutoEncoder", "depth": depth, "columns": 6 * depth, **more},
            "seed": next(iter(seeds)),
            "replicas": len(seeds),
            "device": "cpu",
        }
    )


def forge(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the config of a run in all its files, as a stranger could."""
    directory = RunDirectory(run)
    config = directory.stored_config()
    change(config)
    directory.write_config(config)
    directory.write_record({**directory.record(), "config_hash": config_hash(config)})
    for name in (BEST, LAST):
        contents = torch.load(run / name, weights_only=True)
        torch.save({**contents, "config": json.dumps(config)}, run / name)


def set_status(run: Path, status: str) -> None:
    """Say that a run has another status."""
    RunDirectory(run).write_record({**RunDirectory(run).record(), "status": status})
