"""Forged run directories: without training, or with changes that look like invlearn's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from invlearn.config import config_hash
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST


def write_run(
    folder: Path,
    depth: int,
    seeds: dict[int, float | None],
    status: str = "completed",
    *,
    dataset: Mapping[str, Any] = MappingProxyType({"_target_": "invlearn.data.Shift", "dim": 10}),
    verdict: str | None = None,
    **more,
) -> None:
    """Write a run of an extended network of that depth; each seed has its metrics, or None if it diverged."""
    folder.mkdir(parents=True)
    replicas = [
        {"seed": seed, "diverged": value is None, "metrics": {"mse_invariance": value, "auroc": value}}
        for seed, value in seeds.items()
    ]
    record = {"status": status, "seeds": list(seeds), **({"replicas": replicas} if status == "completed" else {})}
    if verdict is not None:
        numbers = dict.fromkeys(("recall", "among", "difference", "low", "high"), 0.5)
        record["verdict"] = {"kind": verdict, "against": "raw", **numbers}
    directory = RunDirectory(folder)
    directory.write_record(record)
    directory.write_config(
        {
            "dataset": dict(dataset),
            "model": {"_target_": "invlearn.nn.ExtendedAutoEncoder", "depth": depth, "columns": 6 * depth, **more},
            "seed": next(iter(seeds)),
            "replicas": len(seeds),
            "device": "cpu",
        }
    )


def own_file(path: str = "/data/leaves.csv", fingerprint: str = "aaaa", features: int = 3, **more) -> dict[str, Any]:
    """The dataset of a run on a file of entities."""
    names = [f"column{index}" for index in range(features)]
    settled = {"path": path, "fingerprint": fingerprint, "features": names, "offset": [0.5] * features}
    return {"_target_": "invlearn.files.EntityFile", "entity": "id", "size": 100, "seed": 0, **settled, **more}


def family(name: str = "Shift", **more) -> dict[str, Any]:
    """The dataset of a run on a transformation family."""
    return {"_target_": f"invlearn.data.{name}", "dim": 10, "distance": "spectral", "size": 100, "seed": None, **more}


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
    """Change the status of a run."""
    RunDirectory(run).write_record({**RunDirectory(run).record(), "status": status})
