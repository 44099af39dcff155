"""The closed form compared with the same in scikit-learn: seconds, memory, quality, and scaling.

Each fit has a process of its own with one thread; the methods take turns, round after round, so that other work on the
machine affects all of them. Numbers are medians over rounds; seconds are CPU time, which equals wall time on an idle
machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.plots import draw_closed_form, draw_growth
from benchmarks.run import OUTPUT, ROOT, environment

__all__ = ["Task", "compare", "grow", "main", "measure", "of_stages"]

ROOF_SIZE = 2_048
"""Rows and columns of the matrices whose product is the roof."""

DIM, ENTITIES = 64, 4_000
"""16,000 samples of 64 features, which have 2,144 monomials."""

WAYS = ("invlearn_fixed", "discriminant", "slow_features", "invlearn_default")
OURS = WAYS[0]

AXES: dict[str, list[tuple[int, int, int]]] = {
    "rows": [(32, 2, entities) for entities in (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)],
    "degree 1": [(rank, 1, 2_000) for rank in (320, 560, 960, 1_760)],
    "degree 2": [(rank, 2, 2_000) for rank in (24, 32, 40, 48, 64, 80)],
    "degree 3": [(rank, 3, 2_000) for rank in (11, 13, 16, 20)],
}
"""Points of each axis: rank, degree and training entities."""


@dataclass(frozen=True)
class Task:
    """One fit.

    Args:
        way: Name of a method in ``ESTIMATORS``.
        dim: Features d; all are kept.
        entities: Training entities of four samples.
        degree: Degree of the monomials.
        seed: Seed of the data.
    """

    way: str
    dim: int
    entities: int
    degree: int = 2
    seed: int = 0


def peak_mib() -> float:
    """Peak memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage starts with the size of the parent process
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    from invlearn.runs.record import peak_memory

    return peak_memory(torch.device("cpu"))["process"]


def roof(size: int, times: int = 3) -> float:
    """Billions of operations per second of a matrix product in float64, by numpy or torch, whichever is faster."""
    seconds = []
    a = np.random.default_rng(0).standard_normal((size, size))
    b = torch.from_numpy(a)
    for _ in range(times):
        for product in (lambda: a @ a, lambda: b @ b):
            start = time.process_time()
            product()
            seconds.append(time.process_time() - start)
    return 2e-9 * size**3 / min(seconds)


def quality(codes: np.ndarray, samples: int) -> dict[str, float]:
    """Invariance ratio and recall@1 of held-out codes."""
    from invlearn.evaluation.metrics.invariance import invariance_ratio
    from invlearn.evaluation.metrics.ranking import recall_at_1

    z = torch.from_numpy(np.ascontiguousarray(codes)).double().unflatten(0, (-1, samples))
    pairs = torch.cat([(z[:, 0] - z[:, 1]).norm(dim=1), (z[:, 0] - z[:, 1].roll(1, 0)).norm(dim=1)])[None]
    same = (torch.arange(pairs.shape[1]) < len(z))[None]
    return {
        "invariance_ratio": float(invariance_ratio(pairs, same)),
        "recall_at_1": float(recall_at_1(z[None, :, 0], z[None, :, 1])),
    }


def measure(task: Task) -> dict[str, float]:
    """Fit once in this process: seconds, in all and per stage; memory, in all and beyond data and imports; quality."""
    from benchmarks.cycle import SAMPLES, Cycle
    from benchmarks.estimators import ESTIMATORS
    from benchmarks.stages import clocked

    torch.set_num_threads(1)
    cycle = Cycle(task.dim, task.entities, seed=task.seed)
    # A circular shift has as many invariants of degree 2 as frequencies.
    fit = ESTIMATORS[task.way](cycle, task.degree, task.dim // 2 + 1)
    before = peak_mib()
    with clocked() as stages:
        start = time.process_time()
        encode = fit()
        seconds = time.process_time() - start
    mib = peak_mib()
    found = {"seconds": seconds, "mib": mib - before, "mib_process": mib}
    found |= quality(encode(cycle.samples("test")), SAMPLES)
    if task.way.startswith("invlearn"):
        found |= {f"stage {name}": taken for name, taken in stages.items()}
    return found | {"roof": roof(ROOF_SIZE)}


def measure_apart(task: Task) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.closed_form", "--worker", json.dumps(asdict(task))]
    done = subprocess.run(command, cwd=ROOT, env=environment(1), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(measured: pd.DataFrame) -> pd.DataFrame:
    """For each method: medians over rounds, the spread between quartiles, and the ratio to invlearn."""
    groups = measured.groupby("way", sort=False)
    table = groups[["seconds", "mib", "mib_process", "invariance_ratio", "recall_at_1"]].median()
    table["spread_seconds"] = (groups["seconds"].quantile(0.75) - groups["seconds"].quantile(0.25)) / table["seconds"]
    for of in ("seconds", "mib"):
        table[f"ratio_{of}"] = table[of] / table.loc[OURS, of]
    return table.reset_index()


def of_stages(measured: pd.DataFrame, rows: int, features: int) -> pd.DataFrame:
    """For each stage of both closed forms: median seconds; for the fixed one also operations and share of the roof.

    The roof is the median speed of plain matrix products in the same processes.
    """
    from benchmarks.cycle import SAMPLES
    from benchmarks.stages import STAGES, gigaflops

    counts = gigaflops(rows, features, SAMPLES)
    found = []
    for way in ("invlearn_fixed", "invlearn_default"):
        of_way = measured[measured["way"] == way]
        speed = float(of_way["roof"].median())
        for stage in (*STAGES, "rest"):
            times = of_way.get(f"stage {stage}", pd.Series(dtype=float)).dropna()
            seconds = float(times.median()) if len(times) else 0.0
            gflop = counts.get(stage) if way == OURS else None
            share = gflop / seconds / speed if gflop and seconds else None
            row = {"way": way, "stage": stage, "seconds": seconds, "gflop": gflop, "roof": speed, "roof_share": share}
            found.append(row)
    return pd.DataFrame(found)


def grow(axis: str, rank: int, degree: int, entities: int, rounds: int) -> list[dict[str, object]]:
    """Time and memory at one point of an axis, the minimum over rounds; over rows also those of scikit-learn."""
    from benchmarks.cycle import SAMPLES
    from invlearn.closed_form.lift import monomial_count

    found = []
    for way in WAYS[:3] if axis == "rows" else (OURS,):
        runs = pd.DataFrame([measure_apart(Task(way, rank, entities, degree)) for _ in range(rounds)])
        best = runs.loc[runs["seconds"].idxmin()]
        named = {"axis": axis, "way": way, "rows": SAMPLES * entities, "rank": rank, "degree": degree}
        stages = {stage: best.get(f"stage {stage}") for stage in ("products", "moments, rest", "eigenproblem")}
        moments = stages["products"] + stages["moments, rest"] if way == OURS else None  # lifting costs n m
        costs = {"seconds": best["seconds"], "moments": moments, "eigenproblem": stages["eigenproblem"]}
        found.append({**named, "monomials": monomial_count(rank, degree), **costs, "mib": best["mib"]})
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, and write tables and plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison; what grows is measured twice at most")
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--entities", type=int, default=ENTITIES)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return print(json.dumps(measure(Task(**json.loads(options.worker)))))
    from benchmarks.cycle import SAMPLES
    from invlearn.closed_form.lift import monomial_count

    options.output.mkdir(parents=True, exist_ok=True)
    runs = []
    for index in range(options.rounds):
        for way in WAYS:
            runs.append({"way": way, "round": index, **measure_apart(Task(way, options.dim, options.entities))})
            print(way, *(f"{name} {runs[-1][name]:.4g}" for name in ("seconds", "mib", "roof")), flush=True)
    measured = pd.DataFrame(runs)
    table = compare(measured)
    table.to_csv(options.output / "closed_form.csv", index=False, float_format="%.4g")
    stages = of_stages(measured, SAMPLES * options.entities, monomial_count(options.dim, 2))
    stages.to_csv(options.output / "closed_form_stages.csv", index=False, float_format="%.4g")
    draw_closed_form(table, stages).savefig(options.output / "closed_form.png")
    points = []
    for axis, sizes in AXES.items():
        for size in sizes:
            points += grow(axis, *size, rounds=min(2, options.rounds))
            print(points[-1], flush=True)
    growth = pd.DataFrame(points)
    growth.to_csv(options.output / "closed_form_growth.csv", index=False, float_format="%.4g")
    draw_growth(growth).savefig(options.output / "closed_form_growth.png")
    return None


if __name__ == "__main__":
    main()
