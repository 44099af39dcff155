"""Run directories that nobody trained."""

from __future__ import annotations

from pathlib import Path

from invlearn.runs.directory import RunDirectory


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
