"""A tiny run from the first to the last line of its process, beside a process that only imports torch, in turn."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.run import OUTPUT, ROOT, environment

TORCH = ["-c", "import torch"]
TINY = ["-m", "invlearn", "train", "preset=smoke", "dataset=shift"]


def seconds(words: Sequence[str]) -> float:
    """Seconds of a Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environment(1), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(options.rounds):
            run = seconds([*TINY, f"hydra.run.dir={folder}/{index}"])
            rows.append({"torch": seconds(TORCH), "run": run, "help": seconds(["-m", "invlearn", "train", "--help"])})
    medians = pd.DataFrame(rows).median().to_frame().T
    medians["more"] = medians["run"] - medians["torch"]
    medians["ratio"] = medians["run"] / medians["torch"]
    print(medians.to_string(index=False, float_format="{:.2f}".format))
    options.output.mkdir(parents=True, exist_ok=True)
    medians.to_csv(options.output / "startup.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
