"""Wall time of whole processes, with invlearn and with Lightning.

Seconds until the validation ``mse_invariance`` of shift at d = 10 is below 1e-4; seconds for eight seeds, as a stack of
eight or as eight processes, two at a time; and seconds of invlearn's help and of its first steps.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks.problem import Case, Problem
from benchmarks.run import OUTPUT, ROOT, environment

TARGET = 1e-4
SEEDS = 8


@dataclass(frozen=True, kw_only=True)
class Recipe(Case):
    """The default training of ``invlearn train``, with a seed and a number of epochs."""

    seed: int
    epochs: str

    @property
    def overrides(self) -> list[str]:
        """The overrides for ``invlearn train``."""
        return [f"seed={self.seed}", f"trainer.epochs={self.epochs}"]


def train_with_invlearn(arguments: Sequence[str]) -> None:
    """Train a stack; with ``until`` only until the target is reached, with ``first`` only the first 64 steps."""
    from invlearn.config import as_plain
    from invlearn.config.compose import compose
    from invlearn.training.experiment import Experiment
    from invlearn.training.internals import optimise_without_compiler
    from invlearn.training.learner import prepare_training
    from invlearn.training.loop import train_epochs

    until, *overrides = arguments

    def after_steps(steps: int) -> None:
        if until == "first":
            raise SystemExit

    optimise_without_compiler()
    experiment = Experiment.from_config(as_plain(compose(overrides)))
    torch.set_num_threads(experiment.settings.threads or 1)
    state, train, valid = prepare_training(experiment, "cpu")
    for _ in train_epochs(state, experiment, train, valid, after_steps):
        if until == "until" and state.history["valid_mse_invariance"][-1][0] < TARGET:
            break
    print(state.epoch)


def train_with_lightning(arguments: Sequence[str]) -> None:
    """Train one seed; with ``until``, only until the target is reached."""
    from benchmarks.peers.lightning_trainer import Peer

    until, seed, epochs = arguments
    problem = Problem(Recipe(model="extended", loss="pairwise", seed=int(seed), epochs=epochs))
    print(Peer(problem).fit(TARGET if until == "until" else 0.0))


def wait_for(*words: str, threads: int = 1) -> float:
    """Seconds of a Python process, from its start to its end."""
    start = time.perf_counter()
    command = [sys.executable, *words]
    subprocess.run(command, cwd=ROOT, env=environment(threads), check=True, capture_output=True)
    return time.perf_counter() - start


def worker(side: str, *words: str, threads: int = 1) -> float:
    """Seconds of a worker of this module."""
    return wait_for("-m", "benchmarks.recipe", "--worker", side, *words, threads=threads)


def eight_of_lightning(epochs: str) -> float:
    """Seconds for eight seeds, one process each, two at a time."""
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda seed: worker("lightning", "all", str(seed), epochs), range(SEEDS)))
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both comparisons, the two sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", default="10", help="of the eight seeds")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--worker", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        side, *words = options.worker
        return train_with_invlearn(words) if side == "invlearn" else train_with_lightning(words)
    rows = []
    for index in range(options.rounds):
        rows.append(("until 1e-4", "invlearn", worker("invlearn", "until", f"seed={index}")))
        rows.append(("until 1e-4", "lightning", worker("lightning", "until", str(index), "auto")))
        stack = [f"replicas={SEEDS}", f"trainer.epochs={options.epochs}", "threads=2"]
        rows.append(("8 seeds", "invlearn", worker("invlearn", "all", *stack, threads=2)))
        rows.append(("8 seeds", "lightning", eight_of_lightning(options.epochs)))
        rows.append(("first 64 steps", "invlearn", worker("invlearn", "first")))
        for words in (["--help"], ["train", "--help"]):
            rows.append((" ".join(["invlearn", *words]), "invlearn", wait_for("-m", "invlearn", *words)))
        with tempfile.TemporaryDirectory() as folder:
            tiny = ["train", "preset=smoke", "dataset=shift", f"hydra.run.dir={folder}/run"]
            rows.append(("a tiny run", "invlearn", wait_for("-m", "invlearn", *tiny)))
        rows.append(("import torch", "invlearn", wait_for("-c", "import torch")))
        print(*rows[-9:], sep="\n", flush=True)
    table = pd.DataFrame(rows, columns=["comparison", "side", "seconds"])
    medians = table.pivot_table(index="comparison", columns="side", values="seconds", aggfunc="median", sort=False)
    medians["ratio"] = medians["lightning"] / medians["invlearn"]
    print(medians.to_string(float_format="{:.2f}".format))
    options.output.mkdir(parents=True, exist_ok=True)
    medians.reset_index().to_csv(options.output / "recipe.csv", index=False, float_format="%.4g")
    return None


if __name__ == "__main__":
    main()
