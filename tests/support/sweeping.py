"""Helpers for tests of sweeps: a sweep of small runs, started, killed and compared."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.waiting import wait_until

SMALL = ["dataset.size=1024", "dataset.valid_size=64", "dataset.test_size=64", "dataset.dim=4"]
TWELVE = ["model.depth=1,2,3", "seed=0,1,2,3", "trainer.epochs=60", *SMALL]
"""Twelve runs of a second or two each."""


def sweep_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "invlearn", "train", "-m", "sweep=s", *words]


def runs_of(folder: Path) -> dict[str, Path]:
    return {file.parent.name: file.parent for file in sorted(folder.glob("outputs/sweeps/s/*/run.json"))}


def records_of(folder: Path) -> dict[str, dict]:
    return {name: json.loads((run / "run.json").read_text()) for name, run in runs_of(folder).items()}


def metrics_of(folder: Path) -> dict[str, list]:
    return {name: record["replicas"] for name, record in records_of(folder).items()}


def kill_five_times(command: list[str], folder: Path, seconds: float, also: Callable[[], object]) -> None:
    """Start the command and kill it with all its processes, five times, after up to so many seconds of training."""
    chance = random.Random(1)
    for _ in range(5):
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        before = stamp(folder)
        wait_until(lambda: stamp(folder) != before or process.poll() is not None, pause=0.05)  # noqa: B023
        if process.poll() is not None:  # on a fast machine
            return
        time.sleep(chance.uniform(0, seconds))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        also()


def stamp(folder: Path) -> int:
    """Time of the last write of a checkpoint."""
    return max((file.stat().st_mtime_ns for file in folder.glob("outputs/sweeps/s/*/checkpoints/last.pt")), default=0)


def assert_every_run_was_completed_once(folder: Path, expected: dict[str, list]) -> None:
    assert metrics_of(folder) == expected
    for run in runs_of(folder).values():
        assert_no_epoch_was_trained_twice(run)
        assert len((run / "metrics.csv").read_text().splitlines()) == 61


def assert_no_epoch_was_trained_twice(run: Path) -> None:
    epochs = re.findall(r"DEBUG epoch (\d+) of", (run / "train.log").read_text())
    assert len(epochs) == len(set(epochs))
