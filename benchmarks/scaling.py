"""Time of a step as one size grows (d, depth, width, replicas, pairs), with the expected slope."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from benchmarks.plots import draw_scaling
from benchmarks.run import OUTPUT, ROOT, environment

AXES: dict[str, tuple[list[str], list[int], int]] = {
    "dataset.dim": (["model=extended"], [8, 16, 32, 64, 128, 256, 512], 2),
    "model.depth": (["model=standard"], [1, 2, 4, 8, 16, 32], 1),
    "model.width": (["model=standard"], [20, 40, 80, 160, 320, 640, 1280], 2),
    "replicas": (["model=extended"], [1, 2, 4, 8, 16, 32, 64, 128, 256], 1),
    "dataset.size": (["model=extended"], [10_000, 100_000, 1_000_000, 10_000_000], 0),
}
"""For each growing setting: the rest of the command, its values, and the expected exponent of the time of a step."""

SECONDS = 4.0
"""Approximate seconds to time steps for."""


def measure(overrides: Sequence[str]) -> dict[str, float]:
    """Milliseconds per step, and peak memory of the process in MiB."""
    from invlearn.config import as_plain
    from invlearn.config.compose import compose
    from invlearn.runs.record import peak_memory
    from invlearn.training.experiment import Experiment
    from invlearn.training.loop import TrainingState, train_epoch

    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    experiment = Experiment.from_config(as_plain(compose(["trainer.epochs=1000", *overrides])))
    examples = experiment.draws(cpu).examples(experiment.loss.sampler, "train")
    state = TrainingState.initial(experiment, examples, cpu)
    times: list[float] = []
    while not times or sum(times) < SECONDS:  # whole epochs, so that shuffling is included
        start = time.perf_counter()
        train_epoch(state, experiment, examples)
        times.append(time.perf_counter() - start)
        state.epoch += 1
    return {"ms": 1e3 * min(times) / experiment.steps_per_epoch, "mib": peak_memory(cpu)["process"]}


def measure_apart(axis: str, value: int) -> dict[str, object]:
    """The same in a process of its own."""
    others, _, _ = AXES[axis]
    # Epochs of a few steps, except for the axis of pairs.
    size = value if axis == "dataset.size" else 128 * max(2, min(100, 2000 // value))
    overrides = [*others, f"dataset.size={size}", "dataset.valid_size=128", "dataset.test_size=128", f"{axis}={value}"]
    command = [sys.executable, "-m", "benchmarks.scaling", "--worker", *dict.fromkeys(overrides)]
    done = subprocess.run(command, cwd=ROOT, env=environment(1), check=True, capture_output=True, text=True)
    return {"axis": axis, "value": value, **json.loads(done.stdout)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all axes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return print(json.dumps(measure(options.worker)))
    rows = []
    for axis in AXES:
        for value in AXES[axis][1]:
            rows.append(measure_apart(axis, value))
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    options.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output / "scaling.csv", index=False, float_format="%.4g")
    powers = {axis: power for axis, (_, _, power) in AXES.items()}
    draw_scaling(table, powers).savefig(options.output / "scaling.png")
    return None


if __name__ == "__main__":
    main()
