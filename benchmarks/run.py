"""Steps of invlearn and of its peers, timed in turn: a table and a plot.

Each peer of a case has a process of its own and trains an epoch on request; they take turns, round after round, so that
other work on the machine affects all of them. Ratios are those of medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import pandas as pd

from benchmarks.plots import draw_steps
from benchmarks.problem import Case, Problem

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "outputs" / "bench"
ROOF = "matrix_products"
STACKED = ("invlearn_stack", "jax_scan", ROOF)
"""Peers that train R replicas at a time, and the matrix products alone."""
SINGLE = (*STACKED, "pytorch_loop", "lightning_trainer")

CASES = [
    Case("standard", "supervised_dft", 10, 4),
    Case("standard", "supervised_dft", 10, 10),
    Case("standard", "supervised_dft", 20, 4),
    Case("standard", "supervised_dft", 20, 10),
    Case("standard", "pairwise", 10, 4),
    Case("extended", "supervised_dft", 10, 2),
    Case("extended", "pairwise", 10, 2),
    Case("extended", "pairwise", 20, 2),
    Case("standard", "supervised_dft", 10, 4, replicas=8),
    Case("standard", "supervised_dft", 10, 10, replicas=8),
    Case("extended", "pairwise", 10, 2, replicas=8),
    Case("extended", "pairwise", 20, 2, replicas=8),
]
CASES += [Case(**{**asdict(case), "threads": 2}) for case in CASES if case.dim == 10]


def environment(threads: int) -> dict[str, str]:
    """The environment of a process with so many threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


class Worker:
    """A process that holds one peer of one case."""

    def __init__(self, case: Case, peer: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.run", "--worker", peer, json.dumps(asdict(case))],
            cwd=ROOT,
            env=environment(case.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.epochs = 0

    def epoch(self) -> float:
        """Seconds of the next epoch."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(self.epochs, file=self.process.stdin, flush=True)
        self.epochs += 1
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a peer ended: {self.process.args}")
        return float(line)

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def serve(peer: str, case: Case) -> None:
    """Train an epoch for each line on stdin; print its seconds."""
    answer, sys.stdout = sys.stdout, sys.stderr  # output of a peer must not be read as an answer
    trained = import_module(f"benchmarks.peers.{peer}").Peer(Problem(case))
    for line in sys.stdin:
        print(trained.epoch(int(line))[0], file=answer, flush=True)


def measure(case: Case, rounds: int) -> list[dict]:
    """Seconds of each peer and round, interleaved, after two warm-up rounds."""
    peers = SINGLE if case.replicas == 1 else STACKED
    problem = Problem(case)
    counts = {"gflop": problem.gigaflops, "megabytes": problem.megabytes}
    workers = {peer: Worker(case, peer) for peer in peers}
    rows = []
    for index in range(rounds + 2):
        for peer, worker in workers.items():
            seconds = worker.epoch()
            if index >= 2:
                timed = {"peer": peer, "round": index - 2, "ms": 1e3 * seconds / case.steps}
                rows.append({**asdict(case), **counts, **timed})
    for worker in workers.values():
        worker.close()
    return rows


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """For each peer: median milliseconds per step, the ratio to invlearn's, and the spread between quartiles.

    Also the share of invlearn's step that its matrix products alone would take.
    """
    keys = ["model", "loss", "dim", "depth", "replicas", "threads", "gflop", "megabytes"]
    groups = table.groupby([*keys, "peer"], sort=False)["ms"]
    medians = groups.median().unstack("peer")
    spreads = ((groups.quantile(0.75) - groups.quantile(0.25)) / groups.median()).unstack("peer").add_prefix("spread_")
    ratios = medians.drop(columns=["invlearn_stack", ROOF]).div(medians["invlearn_stack"], axis=0).add_prefix("ratio_")
    shares = (medians[ROOF] / medians["invlearn_stack"]).rename("roof_share")
    joined = medians.join(ratios).join(shares).join(spreads).reset_index()
    return table[keys].drop_duplicates().merge(joined)  # in the order they were timed


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all cases, or those whose description contains a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only cases whose description holds all of these")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--worker", nargs=2, metavar=("PEER", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return serve(options.worker[0], Case(**json.loads(options.worker[1])))
    rows: list[dict] = []
    for case in CASES:
        if all(word in str(case) for word in options.words):
            rows += measure(case, options.rounds)
            last = compare(pd.DataFrame(rows)).iloc[-1]
            shown = [f"{name} {value:.2f}" for name, value in last.items() if str(name).startswith(("ratio", "roof"))]
            print(case, f"{last['invlearn_stack']:.2f} ms", *shown, sep=", ", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    table = compare(pd.DataFrame(rows))
    table.to_csv(options.output / "steps.csv", index=False, float_format="%.4g")
    draw_steps(table).savefig(options.output / "steps.png")
    return None


if __name__ == "__main__":
    main()
