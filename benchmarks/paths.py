"""Time of a step on each path: hand-derived gradients, or autograd, which supports any loss and network."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from benchmarks.run import OUTPUT
from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.training.experiment import Experiment
from invlearn.training.learner import prepare_training
from invlearn.training.loop import train_epoch

__all__ = ["main", "measure"]

LOSSES = {
    "pairwise": ["loss=pairwise"],
    "pairwise, pairs=batch": ["loss=pairwise", "loss.pairs=batch"],
    "supervised_dft": ["loss=supervised_dft"],
    "contrastive": ["loss=contrastive"],
    "info_nce": ["loss=info_nce"],
}
MODELS = ("extended", "standard")
REPLICAS = (1, 8)


def measure(loss: str, model: str, replicas: int, *, steps: int, rounds: int) -> dict[str, Any]:
    """Milliseconds per step, medians over rounds; both paths take turns, one epoch of so many steps each."""
    words = [*LOSSES[loss], f"model={model}", f"replicas={replicas}", "dataset.valid_size=64", "trainer.epochs=1000"]
    batch = Experiment.from_config(as_plain(compose(words))).batch_size
    states = {}
    for path, engine in (("hand_derived", "auto"), ("autograd", "plain")):
        experiment = Experiment.from_config(
            as_plain(compose([*words, f"dataset.size={steps * batch}", f"engine={engine}"]))
        )
        state, train, _ = prepare_training(experiment, "cpu")
        if path == "autograd" or state.objective.__module__.startswith("invlearn.training.fast"):
            states[path] = (state, experiment, train(0))
    times: dict[str, list[float]] = {path: [] for path in states}
    for index in range(rounds + 1):
        for path, state in states.items():
            start = time.perf_counter()
            train_epoch(*state)
            state[0].epoch += 1
            if index:  # the first warms up
                times[path].append(1e3 * (time.perf_counter() - start) / steps)
    unit = experiment.loss.sampler.unit
    found = {path: median(taken) for path, taken in times.items()}
    case = {"loss": loss, "model": model, "replicas": replicas, "batch": f"{batch} {unit}"}
    return {**case, "hand_derived": found.get("hand_derived"), "autograd": found["autograd"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all losses on both networks, d = 10, one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for loss in LOSSES:
        for model in MODELS:
            for replicas in REPLICAS:
                rows.append(measure(loss, model, replicas, steps=options.steps, rounds=options.rounds))
                print(rows[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(options.output / "paths.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
