"""Steps on a GPU: 64 replicas as a CUDA graph, compared with the eager loop on the same GPU, which trains one run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import torch

from benchmarks.peers.invlearn_stack import Peer
from benchmarks.problem import Case, Problem
from benchmarks.run import OUTPUT

__all__ = ["main", "measure"]

REPLICAS = 64
CASES = [
    Case("standard", "supervised_dft", 10, 4),
    Case("standard", "supervised_dft", 10, 10),
    Case("extended", "pairwise", 10, 2),
    Case("extended", "pairwise", 20, 2),
]


def measure(case: Case, device: str, rounds: int) -> list[dict]:
    """Run-steps per second of each method on a device, in turn, and ratios to the eager loop."""
    ways = {
        "eager loop, one run": replace(case, device=device, engine="plain"),
        f"eager loop, {REPLICAS} replicas": replace(case, device=device, engine="plain", replicas=REPLICAS),
        f"engine=auto, {REPLICAS} replicas": replace(case, device=device, replicas=REPLICAS),
        "engine=graph, one run": replace(case, device=device, engine="graph"),
        f"engine=graph, {REPLICAS} replicas": replace(case, device=device, engine="graph", replicas=REPLICAS),
    }
    peers = {way: Peer(Problem(settings)) for way, settings in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for index in range(rounds + 2):
        for way, peer in peers.items():
            taken, _ = peer.epoch(index)
            if index >= 2:  # the first rounds compile and capture
                seconds[way].append(taken)
    medians = {way: pd.Series(times).median() for way, times in seconds.items()}
    speeds = {way: ways[way].replicas * case.steps / median for way, median in medians.items()}
    eager = speeds["eager loop, one run"]
    named = {key: asdict(case)[key] for key in ("model", "loss", "dim", "depth")}
    return [
        {**named, "way": way, "run_steps_per_second": speed, "ratio": speed / eager} for way, speed in speeds.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cases on the first GPU; without one, say so and write nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        return print("no GPU here: its cases are left out")
    rows = []
    for case in CASES:
        rows += measure(case, "cuda", options.rounds)
        print(pd.DataFrame(rows[-5:]).to_string(index=False), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.insert(0, "device", torch.cuda.get_device_name())
    table.to_csv(options.output / "gpu.csv", index=False, float_format="%.4g")
    return None


if __name__ == "__main__":
    main()
