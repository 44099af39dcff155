"""Whole trainings with validation after each epoch: invlearn and JAX in turn.

invlearn is the command itself, with checkpoints and ``metrics.csv`` after each epoch, timed from opening the run to the
last epoch. JAX trains the same steps in one scan per epoch and computes the loss on the same validation examples; it
writes nothing. Its seconds are given with and without compilation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from benchmarks.problem import Case, Problem
from benchmarks.run import OUTPUT, ROOT, environment

EPOCHS = 20


@dataclass(frozen=True)
class Whole(Case):
    """A case with the default number of examples."""

    @property
    def overrides(self) -> list[str]:
        """The overrides for ``invlearn train``."""
        own = [f"model={self.model}", f"loss={self.loss}", f"dataset.dim={self.dim}", f"model.depth={self.depth}"]
        return [*own, f"threads={self.threads}", f"trainer.epochs={EPOCHS}"]


CASES = [Whole("standard", "supervised_dft", 10, 4), Whole("extended", "pairwise", 10, 2)]


def with_invlearn(case: Whole) -> float:
    """Seconds of training."""
    from invlearn.runs.checkpoint import load_checkpoint
    from invlearn.runs.directory import RunDirectory
    from invlearn.runs.layout import LAST

    with tempfile.TemporaryDirectory() as folder:
        _python("-m", "invlearn", "train", *case.overrides, f"hydra.run.dir={folder}/run", threads=case.threads)
        return load_checkpoint(RunDirectory(Path(folder) / "run"), LAST, "cpu")["seconds"]


def with_jax(case: Whole) -> tuple[float, float]:
    """Seconds of training with compilation, and again once compiled."""
    words = ["-m", "benchmarks.whole", "--worker", json.dumps(asdict(case))]
    first, again = _python(*words, threads=case.threads).split()[-2:]
    return float(first), float(again)


def train_with_jax(case: Whole) -> None:
    """Train twice in this process and print the seconds of each."""
    import jax  # noqa: F401  (imported before the clock starts, as torch is)

    from benchmarks.peers.jax_scan import Peer

    peer = None
    for _ in range(2):
        start = time.perf_counter()
        peer = Peer(Problem(case)) if peer is None else peer
        peer.fit(EPOCHS)
        print(time.perf_counter() - start)


def _python(*words: str, threads: int) -> str:
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment(threads), check=True, capture_output=True, text=True)
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all cases, both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return train_with_jax(Whole(**json.loads(options.worker)))
    rows = []
    for index in range(options.rounds):
        for case in CASES:
            first, again = with_jax(case)
            rows.append({"case": str(case), "invlearn": with_invlearn(case), "jax": first, "jax_compiled": again})
            print(index, rows[-1], flush=True)
    medians = pd.DataFrame(rows).groupby("case", sort=False).median()
    medians["ratio"] = medians["jax"] / medians["invlearn"]
    medians["ratio_compiled"] = medians["jax_compiled"] / medians["invlearn"]
    print(medians.to_string(float_format="{:.2f}".format))
    options.output.mkdir(parents=True, exist_ok=True)
    medians.reset_index().to_csv(options.output / "whole.csv", index=False, float_format="%.4g")
    return None


if __name__ == "__main__":
    main()
